"""``sig``: signals of a task."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from kautopsy.shell.delegate import delegate
from kautopsy.shell.registry import Lines, PerTask, command
from kautopsy.shell.session import Session


@command(
    "sig",
    "task signal handling",
    usage="[[-l] | [-s sigset]] | [-g] [pid | task] ...",
    raw=True,
    per_task=PerTask.ARGUMENT,
)
def sig(session: Session, arguments: argparse.Namespace) -> Lines:
    """Handlers, blocked and pending signals; drgn's, with crash's line that says if any waits."""
    return _shaped(delegate(session, "sig", arguments.text))


def _shaped(lines: Iterator[str]) -> Iterator[str]:
    """``SIGPENDING`` stands before what it sums up: the pending signals that are not blocked."""
    held: list[str] = []
    for line in lines:
        if line.lstrip().startswith("BLOCKED:"):
            held = [line]
        elif held and line.startswith("PID:"):
            yield from _told(held)
            held = []
            yield line
        elif held:
            held.append(line)
        else:
            yield line
    if held:
        yield from _told(held)


def _told(held: list[str]) -> Iterator[str]:
    blocked = int(held[0].split()[-1], 16)
    pending = 0
    for line in held[1:]:
        if line.lstrip().startswith("SIGNAL:"):
            pending |= int(line.split()[-1], 16)
    yield f"SIGPENDING: {'yes' if pending & ~blocked else 'no'}"
    yield from held
