"""What a session begins with: crash's header, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.report.escape import terminal
from kautopsy.shell.errors import CommandError
from kautopsy.shell.run import lines_of
from kautopsy.shell.session import Session


def welcome(session: Session) -> Iterator[str]:
    """The lines to print before the first prompt."""
    if session.live:
        yield "WARNING: this is the RUNNING KERNEL of this machine, not a dump."
    yield from (f"NOTE: {terminal(note)}" for note in session.symbols.notes)
    for problem in session.dump.problems if session.dump is not None else ():
        yield f"NOTE: the dump: {terminal(problem)}"
    yield ""
    try:
        yield from map(terminal, lines_of(session, "sys", ""))
        yield from map(terminal, lines_of(session, "set", ""))
    except CommandError as error:
        yield f"NOTE: {error}"
    yield ""
