"""Signals that end the command in order, so that nothing of a guest stays behind."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def clean_up_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does; the exit code is the shell's for it."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
