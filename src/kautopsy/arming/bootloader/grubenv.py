"""GRUB 2's environment block: ``name=value`` lines in 1024 bytes, filled up with ``#``."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(.)")


def variables(text: str) -> dict[str, str]:
    """The variables of an environment block; a backslash guards the character after it."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if equals:
            found[name] = _ESCAPED.sub(r"\1", value)
    return found
