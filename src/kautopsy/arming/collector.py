"""What makedumpfile's arguments mean."""

from __future__ import annotations

import re

from kautopsy.model.host import HostFacts


def dump_level(facts: HostFacts) -> int:
    """``-d`` of the configured collector; two levels (``-d 1,31``) are retried in turn, and the
    last one counts. makedumpfile's own default is 0; an unknown configuration is taken for 31.
    """
    match = re.search(r"(?:^|\s)-d\s*(?:\d{1,2},)*(\d{1,4})", facts.settings.collector)
    if match:
        return int(match[1])
    return 0 if facts.settings.collector else 31
