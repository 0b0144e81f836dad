"""Where a console's bytes come from: sockets, files, terminals, programs.

Every source is the same: :meth:`Source.start` feeds a recording from a thread until it is closed or
the other side ends, and what can be typed at has ``write`` and ``send_break``.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from kautopsy.model.errors import KautopsyError, MissingToolError, RefusedError, UnreachableError

_PIECE = 65536
_TELNET_IAC, _TELNET_SB, _TELNET_SE, _TELNET_WILL, _TELNET_DO, _TELNET_BREAK = (
    255,
    250,
    240,
    251,
    253,
    243,
)


class Sink(Protocol):
    """What a console is fed to, as a :class:`~kautopsy.trigger.console.recording.Recording`."""

    def feed(self, data: bytes) -> None:
        """``data`` has come."""

    def end(self, why: str) -> None:
        """Nothing more comes."""


class Source(Protocol):
    """A console that can be read, and perhaps typed at.

    :ivar where: for people
    """

    where: str

    def start(self, recording: Sink) -> None:
        """Connect, and feed ``recording`` from now on.

        :raises UnreachableError: it cannot be opened
        """

    def write(self, data: bytes) -> None:
        """Type."""

    def send_break(self) -> None:
        """A serial BREAK.

        :raises RefusedError: this kind of console has none
        """

    def close(self) -> None:
        """Stop, and leave nothing behind."""


class _Descriptor:
    """Feeds a recording from a file descriptor, in a thread of its own."""

    where = ""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _follow(
        self, descriptor: int, recording: Sink, decode: Callable[[bytes], bytes] | None = None
    ) -> None:
        def read() -> None:
            while not self._stop.is_set():
                try:
                    if not select.select([descriptor], [], [], 0.2)[0]:
                        continue
                    data = os.read(descriptor, _PIECE)
                except (OSError, ValueError):
                    data = b""
                if not data:
                    break
                recording.feed(decode(data) if decode else data)
            recording.end("closed" if self._stop.is_set() else self._why_ended())

        self._thread = threading.Thread(target=read, name=f"console {self.where}", daemon=True)
        self._thread.start()

    def _why_ended(self) -> str:
        return "the other side closed it"

    def _join(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)


class SocketSource(_Descriptor):
    """A Unix socket, or TCP; of telnet the options are refused and BREAK is spoken."""

    def __init__(self, *, unix: str = "", tcp: str = "") -> None:
        super().__init__()
        self.where = unix or tcp
        self._unix = unix
        self._tcp = tcp
        self._socket: socket.socket | None = None
        self._telnet = _Telnet(self.write)

    def start(self, recording: Sink) -> None:
        """See :meth:`Source.start`."""
        try:
            if self._unix:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(10)
                self._socket.connect(self._unix)
            else:
                host, _, port = self._tcp.rpartition(":")
                self._socket = socket.create_connection((host.strip("[]"), int(port)), 10)
        except (OSError, ValueError) as error:
            raise UnreachableError(
                f"its console cannot be opened: {getattr(error, 'strerror', None) or error}",
                thing=self.where,
                slug="no-console",
            ) from None
        self._socket.settimeout(None)
        self._follow(self._socket.fileno(), recording, self._telnet.receive if self._tcp else None)

    def write(self, data: bytes) -> None:
        """See :meth:`Source.write`."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendall(data)

    def send_break(self) -> None:
        """See :meth:`Source.send_break`."""
        if not self._telnet.spoken:
            raise RefusedError(
                "a raw socket carries no BREAK",
                thing=self.where,
                hint="of QEMU: -serial telnet:…,server",
            )
        self.write(bytes((_TELNET_IAC, _TELNET_BREAK)))

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._stop.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._join()
            self._socket.close()


class _Telnet:
    """RFC 854: whatever is offered or asked for is refused, and is no text."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._rest = b""
        self.spoken = False

    def receive(self, data: bytes) -> bytes:
        """``data`` without the commands in it."""
        data, self._rest = self._rest + data, b""
        text = bytearray()
        at = 0
        while at < len(data):
            byte = data[at]
            if byte != _TELNET_IAC:
                text.append(byte)
                at += 1
                continue
            command = data[at : at + 3]
            if len(command) < 2 or (_TELNET_WILL <= command[1] < 255 and len(command) < 3):
                self._rest = data[at:]
                break
            at += self._command(command, data, at, text)
        return bytes(text)

    def _command(self, command: bytes, data: bytes, at: int, text: bytearray) -> int:
        kind = command[1]
        if kind == _TELNET_IAC:
            text.append(_TELNET_IAC)
            return 2
        if kind == _TELNET_SB:
            end = data.find(bytes((_TELNET_IAC, _TELNET_SE)), at)
            return (end - at + 2) if end >= 0 else len(data) - at
        if kind < _TELNET_WILL:
            return 2
        self.spoken = True
        # WILL → DONT, DO → WONT; WONT and DONT need no answer.
        if kind in (_TELNET_WILL, _TELNET_DO):
            refusal = 254 if kind == _TELNET_WILL else 252
            self._write(bytes((_TELNET_IAC, refusal, command[2])))
        return 3


class FileSource(_Descriptor):
    """A file that grows (QEMU's and libvirt's logs, a console server's), or a terminal device."""

    def __init__(self, path: str, speed: int = 115200) -> None:
        super().__init__()
        self.where = path
        self._path = Path(path)
        self._speed = speed
        self._descriptor = -1

    def start(self, recording: Sink) -> None:
        """See :meth:`Source.start`; of a file only what comes from now on counts."""
        device = self._path.is_char_device()
        flags = (os.O_RDWR if device else os.O_RDONLY) | os.O_NOCTTY | os.O_NONBLOCK
        try:
            self._descriptor = os.open(self._path, flags)
            if device:
                self._set_speed()
        except (OSError, termios.error) as error:
            raise UnreachableError(
                f"its console cannot be opened: {error}", thing=self.where, slug="no-console"
            ) from None
        if device:
            self._follow(self._descriptor, recording)
        else:
            os.lseek(self._descriptor, 0, os.SEEK_END)
            self._thread = threading.Thread(target=self._tail, args=(recording,), daemon=True)
            self._thread.start()

    def _tail(self, recording: Sink) -> None:
        while not self._stop.wait(0.2):
            with contextlib.suppress(OSError):
                # Rotated or emptied: from its beginning.
                if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                    os.lseek(self._descriptor, 0, os.SEEK_SET)
                while data := os.read(self._descriptor, _PIECE):
                    recording.feed(data)
        recording.end("closed")

    def _set_speed(self) -> None:
        tty.setraw(self._descriptor)
        speed = getattr(termios, f"B{self._speed}", None)
        if speed is None:
            raise KautopsyError(f"no such speed: {self._speed}", thing=self.where)
        settings = termios.tcgetattr(self._descriptor)
        settings[4] = settings[5] = speed
        settings[2] |= termios.CLOCAL | termios.CREAD
        termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)

    def write(self, data: bytes) -> None:
        """See :meth:`Source.write`."""
        if self._path.is_char_device():
            with contextlib.suppress(OSError):
                os.write(self._descriptor, data)

    def send_break(self) -> None:
        """See :meth:`Source.send_break`."""
        if not self._path.is_char_device():
            raise RefusedError("a file cannot be typed at", thing=self.where)
        termios.tcsendbreak(self._descriptor, 0)

    def close(self) -> None:
        """See :meth:`Source.close`."""
        self._join()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ProgramSource(_Descriptor):
    """A program that shows a console, on a terminal of its own: ``virsh console``, ``ssh``.

    :param break_keys: what is typed for a BREAK; empty: it has none
    :param quit_keys: what makes it end in order
    :param before: typed once the program has said ``ready``: a password that no list may show
    """

    def __init__(
        self,
        argv: list[str],
        where: str,
        *,
        environment: dict[str, str] | None = None,
        break_keys: bytes = b"",
        quit_keys: bytes = b"",
        ready: bytes = b"",
        before: bytes = b"",
    ) -> None:
        super().__init__()
        self.where = where
        self._argv = argv
        self._environment = environment or {}
        self._break_keys = break_keys
        self._quit_keys = quit_keys
        self._ready = ready
        self._before = before
        self._said = b""
        self._child: subprocess.Popen[bytes] | None = None
        self._master = -1
        self._typing = threading.Lock()

    def start(self, recording: Sink) -> None:
        """See :meth:`Source.start`."""
        self._master, theirs = pty.openpty()
        tty.setraw(theirs)
        try:
            self._child = subprocess.Popen(
                self._argv,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb", **self._environment},
            )
        except FileNotFoundError:
            raise MissingToolError("is not installed", thing=self._argv[0]) from None
        finally:
            os.close(theirs)
        self._follow(self._master, recording, self._hide_the_start if self._ready else None)

    def _hide_the_start(self, data: bytes) -> bytes:
        """Wait for the word that asks for the password, answer, and show only what follows."""
        if not self._ready:
            return data
        self._said += data
        _, found, after = self._said.partition(self._ready)
        if not found:
            # It said something else: that is what will explain why it ended.
            return b"" if len(self._said) < 4096 else data
        self._ready = b""
        self.write(self._before)
        return after.lstrip(b"\r\n")

    def _why_ended(self) -> str:
        status = self._child.wait(10) if self._child is not None else None
        words = self._said.decode(errors="replace").strip().splitlines() if self._ready else []
        said = f": {words[-1].strip()}" if words else ""
        return f"{self._argv[0]} ended with status {status}{said}"

    def write(self, data: bytes) -> None:
        """See :meth:`Source.write`."""
        with self._typing, contextlib.suppress(OSError):
            os.write(self._master, data)

    def send_break(self) -> None:
        """See :meth:`Source.send_break`."""
        if not self._break_keys:
            raise RefusedError(f"{self._argv[0]} carries no BREAK", thing=self.where)
        self.write(self._break_keys)

    def close(self) -> None:
        """See :meth:`Source.close`."""
        child = self._child
        if child is not None and child.poll() is None:
            if self._quit_keys:
                self.write(self._quit_keys)
                deadline = time.monotonic() + 5
                while child.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
            if child.poll() is None:
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(5)
            if child.poll() is None:
                child.kill()
                child.wait()
        self._join()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
