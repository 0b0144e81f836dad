"""A guest's console on this terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kautopsy.lab.console import SerialPort

_LEAVE = b"\x1d"  # Ctrl-]


class Screen:
    """Shows the console from the moment the shell is ready: the boot is of no interest."""

    def __init__(self) -> None:
        self._started = False

    def start(self) -> None:
        """Show what comes from now on."""
        self._started = True

    def show(self, data: bytes) -> None:
        """A console's listener."""
        # The guest is ours and just booted from a package; a terminal is what was asked for.
        if self._started:
            os.write(sys.stdout.fileno(), data)


def talk(console: SerialPort) -> None:
    """Pass keys to the guest until it ends or Ctrl-] is pressed."""
    import select
    import termios
    import tty

    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    tty.setraw(stdin)
    try:
        while not console.closed:
            ready, _, _ = select.select([stdin], [], [], 0.2)
            if ready:
                keys = os.read(stdin, 1024)
                if not keys or _LEAVE in keys:
                    break
                console.write(keys)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        print()
