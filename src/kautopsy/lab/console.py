"""A serial port of a guest: its lines with the time they came, readable while they come."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.wire import Connection, Wire
from kautopsy.model.errors import UsageError


@dataclass(frozen=True)
class ConsoleLine:
    """One line; ``seconds`` since the guest was switched on."""

    seconds: float
    text: str


class SerialPort:
    """Reads a connection in a thread until the other side closes it.

    :param news: notified on every line and at the end; ports of one guest share it, so that one
        wait sees all that happens
    :param log: raw bytes are appended here as they come
    :param tee: called with the raw bytes as they come, from the reading thread; see :meth:`listen`
    """

    def __init__(
        self,
        connection: Connection,
        *,
        news: threading.Condition,
        log: Path | None = None,
        tee: Callable[[bytes], None] | None = None,
    ) -> None:
        self._connection = connection
        self._news = news
        self._log = log
        self._listeners = [tee] if tee is not None else []
        self._started = time.monotonic()
        self._lines: list[ConsoleLine] = []
        self._partial = b""
        self._closed = False
        self._last_byte = self._started
        self._thread = threading.Thread(target=self._read, name="serial-port", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[ConsoleLine]:
        """All lines so far, the unfinished last one included if it has any text."""
        with self._news:
            lines = list(self._lines)
            if self._partial:
                lines.append(ConsoleLine(self._last_byte - self._started, _decode(self._partial)))
            return lines

    def whole_lines(self, start: int = 0) -> list[str]:
        """The finished lines from ``start`` on."""
        with self._news:
            return [line.text for line in self._lines[start:]]

    @property
    def texts(self) -> list[str]:
        """As :attr:`lines`, without the time."""
        return [line.text for line in self.lines]

    @property
    def closed(self) -> bool:
        """The other side is gone."""
        return self._closed

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        return time.monotonic() - self._last_byte

    def find(self, pattern: re.Pattern[str], start: int = 0) -> int | None:
        """Index of the first line from ``start`` on in which ``pattern`` is found."""
        for index, line in enumerate(self.lines[start:], start):
            if pattern.search(line.text):
                return index
        return None

    def listen(self, listener: Callable[[bytes], None]) -> None:
        """Call ``listener`` with all that comes from now on, from the reading thread."""
        self._listeners = [*self._listeners, listener]

    def write(self, data: bytes) -> None:
        """Type ``data``; a guest that is gone reads nothing, which shows elsewhere."""
        with contextlib.suppress(OSError):
            self._connection.sendall(data)

    def send_break(self) -> None:
        """A serial BREAK.

        :raises UsageError: this port carries none
        """
        if not isinstance(self._connection, Wire):
            raise UsageError("carries no BREAK", thing="a socket")
        self._connection.send_break()

    def close(self) -> None:
        """Stop reading."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._connection.close()

    def _read(self) -> None:
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._log.open("ab", buffering=0)) if self._log else None
            while True:
                try:
                    data = self._connection.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    break
                if log is not None:
                    log.write(data)
                for listener in self._listeners:
                    listener(data)
                self._take(data)
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _take(self, data: bytes) -> None:
        with self._news:
            self._last_byte = time.monotonic()
            *whole, self._partial = (self._partial + data).split(b"\n")
            seconds = self._last_byte - self._started
            self._lines += [ConsoleLine(seconds, _decode(line)) for line in whole]
            self._news.notify_all()


def _decode(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
