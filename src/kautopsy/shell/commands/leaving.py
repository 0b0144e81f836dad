"""``exit`` and ``q``."""

from __future__ import annotations

import argparse

from kautopsy.shell.errors import LeaveShell
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("exit", "exit this session")
@command("q", "exit this session")
def leave(session: Session, arguments: argparse.Namespace) -> Lines:
    """Bail out of the current session. Ctrl-D does the same."""
    raise LeaveShell
