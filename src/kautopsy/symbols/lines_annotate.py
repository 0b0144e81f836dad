"""A log with source lines in it: what the kernel's scripts/decode_stacktrace.sh makes of a log.

Each ``bio_endio+0x12a/0x150`` becomes ``bio_endio (include/trace/events/block.h:256
block/bio.c:1533)``: innermost line first, then the lines it was inlined into, as that script writes
them, so that what reads its output reads this. Where several functions fit, their lines are joined
by `` or ``. What cannot be found stays as it was.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from kautopsy.symbols.symbolise import Location, Symboliser

_FRAME = re.compile(
    r"(?<![\w.$])(?P<function>[A-Za-z_.][\w.$]{0,511})\+"
    r"(?P<offset>0x[0-9a-fA-F]{1,16})/(?P<size>0x[0-9a-fA-F]{1,16})"
    # Modules carry their build-id where CONFIG_STACKTRACE_BUILD_ID is set (9294523e3768, 5.15).
    r"(?P<old_warning>\(\))?(?: ?\[(?P<module>[\w-]+)(?: [0-9a-f]+)?\])?"
)

# What stands before an address and says which it is: the very address of a fault, or (None) where a
# call returns to. The address of a WARNING is that of its trap; until 4.11 it was that of the call
# to warn_slowpath_*(), with "()" behind it.
_LABEL = re.compile(
    r"\b(?:(?P<fault>[RE]?IP:|IP is at|PC is at|pc ?:|epc ?:|era ?:|NIP\b|Krnl PSW|WARNING:)"
    r"|lr ?:|LR\b|ra ?:)"
)


def annotate(
    lines: Iterable[str], symboliser: Symboliser, *, keep_offsets: bool = False
) -> Iterator[str]:
    """``lines`` with source lines, one for one.

    :param keep_offsets: leave ``+0x12a/0x150`` before the parenthesis
    """
    fault: tuple[str, str] | None = None
    # Of the line at hand: where its labels end, and whether each is of a fault.
    ends: list[int] = []
    faults: list[bool] = []

    def decorated(match: re.Match[str]) -> str:
        nonlocal fault
        here = (match["function"], match["offset"])
        label = bisect_right(ends, match.start()) - 1
        exact = label >= 0 and faults[label] and match["old_warning"] is None
        if exact:
            fault = here
        found = symboliser.locate(
            match["function"],
            int(match["offset"], 16),
            size=int(match["size"], 16),
            module=match["module"],
            # Where the backtrace begins with the faulting frame itself (arm64, riscv) it is printed
            # as any other.
            return_address=not exact and here != fault,
        )
        places = [place for place in map(_lines, found.locations) if place]
        if not places:
            return match.group()
        text = match.group()
        name = match["function"]
        if keep_offsets:
            name += f"+{match['offset']}/{match['size']}"
        rest = text[match.end("size") - match.start() :]
        return f"{name} ({' or '.join(dict.fromkeys(places))}){rest}"

    for line in lines:
        if "+0x" not in line:
            yield line
            continue
        labels = list(_LABEL.finditer(line))
        ends = [label.end() for label in labels]
        faults = [label["fault"] is not None for label in labels]
        yield _FRAME.sub(decorated, line)


def _lines(location: Location) -> str:
    return " ".join(f"{line.file}:{line.line or '?'}" for line in location.lines if line.file)
