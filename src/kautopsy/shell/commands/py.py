"""``py``: Python on the dump; and ``drgn``, its other name."""

from __future__ import annotations

import argparse
import sys

from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("py", "Python on this dump", usage="[statement]", raw=True)
@command("drgn", "Python on this dump", usage="[statement]", raw=True)
def python(session: Session, arguments: argparse.Namespace) -> Lines:
    """A Python prompt, or one statement.

    Bound are prog (the drgn program), task (the current one), tables (tables.tasks() yields rows),
    findings() (what the detectors say), crash("bt -a") (a command of this shell) and all of drgn's
    names and Linux helpers, so that what --drgn prints can be pasted.
    """
    import contextlib
    import io

    from kautopsy.shell import python as inside

    if not arguments.text:
        if not sys.stdin.isatty():
            return
        inside.interact(session)
        return
    held = io.StringIO()
    with contextlib.redirect_stdout(held):
        inside.execute_text(session, arguments.text)
    yield from held.getvalue().splitlines()
