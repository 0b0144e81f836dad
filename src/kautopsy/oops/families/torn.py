"""What is left: reports that no family knows, and heads of which only a word remains."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, in_function, on_stack, report
from kautopsy.oops.titles import stable


@report("reboot", r"^(?:.*\bdone, )?[Bb]ooting the kernel\.")
def _reboot(match: re.Match[str], body: Body) -> Name:
    """The decompressor speaks, though the kernel before said nothing of going down."""
    return Name(kind=Kind.UNKNOWN, title="unexpected kernel reboot", needs_trace=False)


@report("torn", r"(?<![\w.])(?P<word>BUG|WARNING|INFO):[ \t]*$")
def _torn(match: re.Match[str], body: Body) -> Name:
    kind = Kind.WARNING if match["word"] == "WARNING" else Kind.UNKNOWN
    function = on_stack(body)
    return Name(
        kind=Kind.BUG if match["word"] == "BUG" else kind,
        title=f"{match['word']}: corrupted",
        titles=(in_function(f"{match['word']}: corrupted", function),) if function else (),
        corrupted="the rest of the first line is lost",
    )


@report("other-bug", r"(?<![\w.\-])BUG: (?P<rest>\S.*)$")
def _other(match: re.Match[str], body: Body) -> Name:
    function = on_stack(body)
    return Name(
        kind=Kind.BUG,
        title=in_function(f"BUG: {stable(match['rest'])[:80]}", function),
        needs_trace=False,
    )
