"""A file that comes: how much is here, how fast, and how long it will take."""

from __future__ import annotations

import sys
import time

from kautopsy.report.escape import one_line
from kautopsy.report.units import duration, size

_EVERY_ON_A_TERMINAL = 0.2
_EVERY_IN_A_LOG = 15.0


class Transfer:
    """Tells stderr of files as they come, in place on a terminal, else now and then a line."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._name = ""
        self._started = 0.0
        self._first = 0
        self._told = 0.0

    def __call__(self, name: str, there: int, whole: int) -> None:
        """Of ``name``, ``there`` bytes of ``whole`` are here."""
        if self._quiet:
            return
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if name != self._name:
            self._name, self._started, self._first = name, now, there
            self._told = now if not terminal else 0.0
        done = there >= whole
        every = _EVERY_ON_A_TERMINAL if terminal else _EVERY_IN_A_LOG
        if not done and now - self._told < every:
            return
        self._told = now
        self._say(self._line(there, whole, now), terminal=terminal, done=done)
        if done:
            self._name = ""

    def _line(self, there: int, whole: int, now: float) -> str:
        seconds = now - self._started
        rate = (there - self._first) / seconds if seconds > 0.05 else 0.0
        parts = [f"{size(there)} of {size(whole)}"]
        if whole:
            parts.append(f"{100 * there / whole:.0f}%")
        if rate:
            parts.append(f"{size(rate)}/s")
            if there < whole:
                parts.append(f"{duration((whole - there) / rate)} left")
        if self._first:
            parts.append(f"went on at {size(self._first)}")
        return f"{self._name}: {', '.join(parts)}"

    def _say(self, line: str, *, terminal: bool, done: bool) -> None:
        start = "\r\x1b[K" if terminal else ""
        end = "\n" if done or not terminal else ""
        print(f"{start}{one_line(line)}", end=end, file=sys.stderr, flush=True)
