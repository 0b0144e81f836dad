"""What the text engine calls a crash that a console told of."""

from __future__ import annotations

from kautopsy.oops import read_text
from kautopsy.triage.textual import choose


def title_of(text: str) -> str:
    """The title of the crash that ended the machine; nothing if the text tells of none."""
    crash, _others, _count = choose(read_text(text))
    return crash.title if crash is not None else ""
