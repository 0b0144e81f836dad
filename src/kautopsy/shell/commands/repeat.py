"""``repeat``: run a command again and again."""

from __future__ import annotations

import argparse
import re
import time

from kautopsy.shell.errors import BadArgumentsError, LeaveShell
from kautopsy.shell.line import parse
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("repeat", "repeat a command", usage="[-seconds] command", raw=True)
def repeat(session: Session, arguments: argparse.Namespace) -> Lines:
    """Repeats a command until Ctrl-C, with -SECONDS between two runs.

    On a dump, where nothing changes, it runs once and says so.
    """
    from kautopsy.shell.run import lines_of

    found = re.match(r"(?:-(\d+)\s+)?(.*)", arguments.text, re.DOTALL)
    line = parse(found[2]) if found else None
    if found is None or line is None:
        raise BadArgumentsError("a command is missing", hint="help repeat")
    while True:
        try:
            yield from lines_of(session, line.name, line.text)
        except LeaveShell:
            return
        if not session.live:
            yield "repeat: a dump does not change: once is enough"
            return
        time.sleep(int(found[1] or 0) or 0.2)
