"""A machine's console for others: a socket that any number of programs may connect to."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from pathlib import Path

from kautopsy.lab.console import SerialPort


class ConsoleRelay:
    """Gives what a serial port says to all who connect to ``path``, and types what they send.

    Used as a context; closing it hangs up on everybody.
    """

    def __init__(self, port: SerialPort, path: Path) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="console-relay", daemon=True)
        self._thread.start()
        port.listen(self._show)

    def __enter__(self) -> ConsoleRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if not self._thread.is_alive():
            return
        os.write(self._wake, b"x")
        self._thread.join()
        for client in list(self._clients):
            self._drop(client)
        self._listener.close()
        os.close(self._woken)
        os.close(self._wake)

    def _show(self, data: bytes) -> None:
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            try:
                # Who does not read loses lines, as on a wire; nobody holds up the others.
                client.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                pass
            except OSError:
                self._drop(client)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj == self._woken:
                        return
                    if key.fileobj is self._listener:
                        new, _ = self._listener.accept()
                        with self._lock:
                            self._clients.add(new)
                        selector.register(new, selectors.EVENT_READ)
                        continue
                    client = key.fileobj
                    assert isinstance(client, socket.socket)
                    data = b""
                    with contextlib.suppress(OSError):
                        data = client.recv(4096)
                    if data:
                        self._port.write(data)
                    else:
                        selector.unregister(client)
                        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.discard(client)
        client.close()
