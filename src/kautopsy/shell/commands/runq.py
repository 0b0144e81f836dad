"""``runq``: the run queues of the CPUs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from kautopsy.shell.delegate import delegate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("runq", "run queue", usage="[-t] [-T] [-m] [-g] [-c cpu(s)]", raw=True)
def runq(session: Session, arguments: argparse.Namespace) -> Lines:
    """The tasks that wait for a CPU or run, by CPU; drgn's, in crash's form."""
    return _shaped(delegate(session, "runq", arguments.text))


def _shaped(lines: Iterator[str]) -> Iterator[str]:
    width = 0
    for line in lines:
        clock = re.match(r"(\s*CPU \d+: )0*(\d+)$", line)
        stamped = re.match(r"(\s+)0*(\d+)(  PID: .*)", line)
        if clock is not None:
            width = len(clock[2])
            yield clock[1] + clock[2]
        elif stamped is not None and width:
            yield f"{stamped[1]}{stamped[2]:0>{width}}{stamped[3]}"
        else:
            yield re.sub(r"^(CPU \d+ RUNQUEUE) (?=[0-9a-f])", r"\1: ", line)
