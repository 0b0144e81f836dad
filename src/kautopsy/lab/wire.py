"""The host's end of a guest's serial port: two pipes, so that nothing a guest says is lost.

QEMU's UART hands over one byte at a time and drops what its backend does not take at once
(hw/char/serial.c: four tries a byte). A Unix socket charges each of those bytes as a buffer of its
own and is full after 278 of them (Linux 6.1), so a host that is busy for a moment tears holes into
a panic. A pipe packs them: 64 KiB by default, and as much as fs.pipe-max-size grants.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from pathlib import Path
from typing import Protocol

from kautopsy.model.errors import UsageError

_ESCAPE = b"\x01"
_ROOM = 1 << 20
_PATIENCE_MS = 10_000


class Connection(Protocol):
    """What a serial port needs of its transport; a connected socket has it too."""

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes; b"" at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of ``data``."""

    def shutdown(self, how: int, /) -> None:
        """End a ``recv`` that waits."""

    def close(self) -> None:
        """Let go of it."""


class Wire:
    """A serial port of a QEMU that is started with ``-chardev pipe,path=PATH`` after this.

    :param path: QEMU adds ``.in`` and ``.out`` (qemu-options, ``-chardev pipe``); both are made
    :param breaks: it is a ``mux=on`` one, which takes what follows ^A for itself
    :ivar path: the same
    """

    def __init__(self, path: Path, *, breaks: bool = False) -> None:
        self.path = path
        self._breaks = breaks
        there, back = Path(f"{path}.in"), Path(f"{path}.out")
        for fifo in (there, back):
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo, 0o600)
        # Before there is a writer, poll() waits for one; read() says "end" only after the last one
        # has gone (pipe(7), fifo(7)). A writer alone would have to wait for its reader.
        self._from = os.open(back, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._to = os.open(there, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        # More than fs.pipe-max-size needs CAP_SYS_RESOURCE, and there may be a quota.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._from, fcntl.F_SETPIPE_SZ, _ROOM)

    def recv(self, size: int, /) -> bytes:
        """Wait for up to ``size`` bytes; b"" when QEMU is gone or the wire was shut down."""
        poll = select.poll()
        poll.register(self._from, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        return b"" if self._stop in ready else os.read(self._from, size)

    def sendall(self, data: bytes, /) -> None:
        """Send ``data``.

        :raises TimeoutError: the guest has not read for 10 s
        """
        self._send(data.replace(_ESCAPE, _ESCAPE * 2) if self._breaks else data)

    def send_break(self) -> None:
        """A serial BREAK (chardev/char-mux.c: ^A b).

        :raises UsageError: this wire carries none
        """
        if not self._breaks:
            raise UsageError("carries no BREAK", thing=str(self.path))
        self._send(_ESCAPE + b"b")

    def _send(self, data: bytes) -> None:
        poll = select.poll()
        poll.register(self._to, select.POLLOUT)
        while data:
            if not poll.poll(_PATIENCE_MS):
                raise TimeoutError(f"nobody reads {self.path}")
            data = data[os.write(self._to, data) :]

    def shutdown(self, how: int, /) -> None:
        """End a :meth:`recv` that waits, whatever ``how`` says."""
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Close the pipes; once more does no harm."""
        for descriptor in (self._from, self._to, self._stop):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._from = self._to = self._stop = -1
