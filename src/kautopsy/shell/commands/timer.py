"""``timer``: timers, and with -r those of high resolution."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object, Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.delegate import delegate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("timer", "timer data", usage="[-r][-C cpu(s)]", raw=True)
def timer(session: Session, arguments: argparse.Namespace) -> Lines:
    """The timers on each CPU's wheels; drgn's, with crash's names of the clocks."""
    return _named(session.program, delegate(session, "timer", arguments.text))


def _named(program: Program, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        found = re.match(r"\s*CLOCK: (\d+)\s+HRTIMER_CLOCK_BASE: ([0-9a-f]+)\s*$", line)
        if found is not None:
            line = f"{line.rstrip()}  [{_clock(program, int(found[1]), int(found[2], 16))}]"
        yield line


def _clock(program: Program, index: int, address: int) -> str:
    """The function that reads it; where a clock has none any more (7.0), its name."""
    base = Object(program, "struct hrtimer_clock_base", address=address)
    try:
        name: str = program.symbol(int(base.get_time)).name
        return name
    except READ_ERRORS:
        pass
    try:
        names = program.type("enum hrtimer_base_type").enumerators or ()
    except LookupError:
        names = ()
    return next((str(one.name) for one in names if one.value == index), "unknown")
