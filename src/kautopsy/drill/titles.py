"""What the text engine calls a crash that a console told of."""

from __future__ import annotations

from kautopsy.model.crash import Crash
from kautopsy.oops import read_text
from kautopsy.triage.textual import choose


def crash_in(text: str) -> Crash | None:
    """The crash that ended the machine, of a console's text; None if it tells of none."""
    chosen, _others, _count = choose(read_text(text))
    return chosen


def title_of(text: str) -> str:
    """Its title, or nothing."""
    crash = crash_in(text)
    return crash.title if crash is not None else ""
