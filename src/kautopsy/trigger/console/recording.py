"""What a console said, with the time it came, kept as it comes.

``console.log`` holds the bytes; ``console.times`` beside it a line for each piece of them, seconds
since the one before and its length, which is the timing file that ``scriptreplay`` takes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

_END_OF_LINE = re.compile(rb"\r\n|[\r\n]")
# CSI and OSC sequences, and single-character escapes: firmware and systemd colour what they say.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_LONGEST_LINE = 16 << 10


@dataclass(frozen=True)
class ConsoleLine:
    """One line; ``seconds`` since the console was opened."""

    seconds: float
    text: str


class Recording:
    """Takes a console's bytes from whatever reads it; everything may be asked while they come.

    :param folder: where it is kept; None keeps it in memory only
    :param tee: called with the bytes as they come, from the reading thread
    :ivar news: notified on every piece, and at the end
    :ivar ended: why nothing more comes; empty while something may
    """

    def __init__(
        self, folder: Path | None = None, *, tee: Callable[[bytes], None] | None = None
    ) -> None:
        self.news = threading.Condition()
        self.ended = ""
        self.log = folder / "console.log" if folder else None
        self._tee = tee
        self._started = time.monotonic()
        self._last = self._started
        self._lines: list[ConsoleLine] = []
        self._rest = b""
        self._log: BinaryIO | None = None
        self._times: TextIO | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = (folder / "console.log").open("ab", buffering=0)
            self._times = (folder / "console.times").open("a", buffering=1)

    def feed(self, data: bytes) -> None:
        """``data`` has come."""
        if not data:
            return
        with self.news:
            now = time.monotonic()
            if self._log is not None and self._times is not None:
                self._log.write(data)
                self._times.write(f"{now - self._last:.6f} {len(data)}\n")
            self._last = now
            # A \r whose \n may still come is not yet the end of a line.
            held = b"\r" if data.endswith(b"\r") else b""
            *whole, self._rest = _END_OF_LINE.split(self._rest + data.removesuffix(held))
            self._rest = self._rest[-_LONGEST_LINE:] + held
            seconds = now - self._started
            self._lines += [ConsoleLine(seconds, clean(line)) for line in whole if line.strip()]
            self.news.notify_all()
        if self._tee is not None:
            self._tee(data)

    def end(self, why: str) -> None:
        """Nothing more comes."""
        with self.news:
            self.ended = self.ended or why
            self.news.notify_all()

    def close(self) -> None:
        """Close the files."""
        with self.news:
            if self._log is not None and self._times is not None:
                self._log.close()
                self._times.close()
            self._log = self._times = None

    @property
    def seconds(self) -> float:
        """Since the console was opened."""
        return time.monotonic() - self._started

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        return time.monotonic() - self._last

    def lines(self, start: int = 0) -> list[ConsoleLine]:
        """The finished lines from ``start`` on; empty ones are left out."""
        with self.news:
            return self._lines[start:]

    @property
    def unfinished(self) -> str:
        """What stands on the last line: a prompt ends with no line break."""
        with self.news:
            return clean(self._rest)

    def text(self, start: int = 0) -> str:
        """The lines from ``start`` on as one text."""
        return "".join(f"{line.text}\n" for line in self.lines(start))


def clean(line: bytes) -> str:
    """A line without colours and control characters."""
    text = _ESCAPES.sub("", line.decode(errors="replace"))
    return "".join(c if c.isprintable() or c == "\t" else "" for c in text).rstrip()
