"""QEMU's machine protocol: one JSON document a line, a greeting first, events in between
(docs/interop/qmp-spec in QEMU's source).
"""

from __future__ import annotations

import json
import socket
from typing import Any

from kautopsy.model.errors import UnreachableError
from kautopsy.trigger.look import clean_uuid
from kautopsy.trigger.way import Ability, Effect, Whose


class QmpError(UnreachableError):
    """QEMU refused a command, or does not speak."""

    slug = "qmp"


class QmpClient:
    """Speaks over a connected socket; ``timeout`` in seconds holds for every answer."""

    def __init__(self, connection: socket.socket, *, timeout: float = 30.0) -> None:
        self._socket = connection
        self._socket.settimeout(timeout)
        self._buffer = b""
        self._events: list[str] = []
        if "QMP" not in self._read():
            raise QmpError("did not greet as QEMU does")
        self.execute("qmp_capabilities")

    def __enter__(self) -> QmpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    @property
    def events(self) -> tuple[str, ...]:
        """Names of the events that came with answers so far."""
        return tuple(self._events)

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run ``command`` and return what it returns.

        :raises QmpError: QEMU refused, or hung up
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"hung up: {error.strerror or error}", thing=command) from None
        while True:
            answer = self._read()
            if "event" in answer:
                self._events.append(str(answer["event"]))
            elif "error" in answer:
                raise QmpError(str(answer["error"].get("desc", answer["error"])), thing=command)
            elif "return" in answer:
                return answer["return"]

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise QmpError(f"no answer: {error.strerror or error}") from None
            if not data:
                raise QmpError("hung up")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            document = json.loads(line)
        except ValueError:
            raise QmpError("sent something that is not JSON") from None
        if not isinstance(document, dict):
            raise QmpError("sent something that is not an object")
        return document


class QmpWay:
    """``inject-nmi`` over the socket of QEMU's machine protocol.

    A socket serves one client; while another holds it, a second one waits for the greeting in vain.
    """

    name = "qmp"
    effect = Effect.NMI

    def __init__(self, path: str) -> None:
        self._path = path
        self.what = f"QMP inject-nmi at {path}"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        with self._client() as client:
            status = str(client.execute("query-status").get("status"))
        return Ability(status == "running", f"the virtual machine is {status}")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`; ``-uuid`` is also the guest's DMI's."""
        with self._client() as client:
            uuid = clean_uuid(str(client.execute("query-uuid").get("UUID", "")))
            name = str(client.execute("query-name").get("name", ""))
        return Whose(by=f"QEMU at {self._path}", uuid=uuid, names=(name,) if name else ())

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        with self._client() as client:
            client.execute("inject-nmi")
        return "QEMU took inject-nmi"

    def _client(self) -> QmpClient:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._path)
            return QmpClient(connection, timeout=10.0)
        except OSError as error:
            connection.close()
            raise QmpError(error.strerror or str(error), thing=self._path) from None
        except QmpError as error:
            connection.close()
            raise QmpError(
                error.what, thing=self._path, hint="does somebody else hold the socket?"
            ) from None
