"""One Redfish service: a ComputerSystem that can be reset, over TLS, with basic authentication.

Only what a client needs to find the system, see whose it is and send it an NMI (DSP0266); with the
faults that real ones have.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from kautopsy.host import inventory
from kautopsy.host.secrets import Secret
from kautopsy.model.errors import MissingToolError
from kautopsy.trigger.qmp import QmpWay

_HERE = "127.0.0.1"
_ROOT = "/redfish/v1/"
_SYSTEM = f"{_ROOT}Systems/1"
_RESET = f"{_SYSTEM}/Actions/ComputerSystem.Reset"
# DSP8011, the base registry.
_MESSAGE = {
    "error": {
        "code": "Base.1.8.GeneralError",
        "message": "See @Message.ExtendedInfo.",
        "@Message.ExtendedInfo": [
            {
                "MessageId": "Base.1.8.ActionParameterNotSupported",
                "Message": "The parameter ResetType for the action Reset is not supported.",
            }
        ],
    }
}


class RedfishFault(StrEnum):
    """What this service does wrong."""

    UNADVERTISED = "unadvertised"
    """It sends an NMI, and does not say that it can."""
    UNIMPLEMENTED = "unimplemented"
    """It says that it can, and answers 501."""
    DEAF = "deaf"
    """It answers 204, and nothing happens."""
    SLOW = "slow"
    """It sends the NMI at once and hangs up without an answer."""
    INVALID = "invalid"
    """It says that it can, and answers 400 with a message of the registry."""
    BUSY = "busy"
    """It answers 503."""
    EXPIRED = "expired"
    """It answers 401 to what changes anything."""
    TASK = "task"
    """It answers 202 with a task's monitor, and sends the NMI a second later."""
    FORBIDDEN = "forbidden"
    """It does not let this user reset anything."""


@dataclass(frozen=True)
class RedfishConfig:
    """What a service is like.

    :param name: what its certificate is for, a host name or an address
    :param state: the system's PowerState
    """

    user: str = "admin"
    password: str = "lab-admin"
    address: str = "127.0.0.1"
    name: str = "127.0.0.1"
    serial: str = ""
    uuid: str = ""
    hostname: str = ""
    state: str = "On"
    fault: RedfishFault | None = None


class Redfish:
    """A running service, used as a context.

    :param on_nmi: called for every NMI it sends
    :param folder: for its key and certificate
    :ivar nmis: how many it was asked for
    """

    def __init__(self, config: RedfishConfig, folder: Path, on_nmi: Callable[[], object]) -> None:
        self.config = config
        self.nmis = 0
        self._on_nmi = on_nmi
        self.certificate = folder / "redfish.crt"
        key = folder / "redfish.key"
        _make_certificate(config.name, key, self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        service = self

        class Handler(_Handler):
            redfish = service

        self._server = ThreadingHTTPServer((config.address, 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Redfish:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://{self.config.address}:{self.port}"

    def document(self, path: str) -> dict[str, Any] | None:
        """The resource at ``path``; None if there is none."""
        config = self.config
        resets = ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]
        if config.fault is not RedfishFault.UNADVERTISED:
            resets.append("Nmi")
        documents: dict[str, dict[str, Any]] = {
            _ROOT: {
                "Name": "Root",
                "RedfishVersion": "1.6.0",
                "Systems": {"@odata.id": f"{_ROOT}Systems"},
            },
            f"{_ROOT}Systems": {
                "Name": "Systems",
                "Members@odata.count": 1,
                "Members": [{"@odata.id": _SYSTEM}],
            },
            _SYSTEM: {
                "Name": "System",
                "SerialNumber": config.serial or None,
                "UUID": config.uuid or None,
                "HostName": config.hostname or None,
                "PowerState": config.state,
                "Actions": {
                    "#ComputerSystem.Reset": {
                        "target": _RESET,
                        "ResetType@Redfish.AllowableValues": resets,
                    }
                },
            },
        }
        found = documents.get(path) or documents.get(f"{path}/")
        if found is None:
            return None
        return {"@odata.id": path, "Id": path.rstrip("/").rpartition("/")[2], **found}

    def reset(self, kind: str) -> HTTPStatus | None:
        """Do what a POST asks for; None hangs up."""
        fault = self.config.fault
        if fault is RedfishFault.FORBIDDEN:
            return HTTPStatus.FORBIDDEN
        if fault is RedfishFault.EXPIRED:
            return HTTPStatus.UNAUTHORIZED
        if kind != "Nmi":
            return HTTPStatus.BAD_REQUEST
        self.nmis += 1
        if fault is RedfishFault.INVALID:
            return HTTPStatus.BAD_REQUEST
        if fault is RedfishFault.BUSY:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if fault is RedfishFault.TASK:
            threading.Timer(1.0, self._on_nmi).start()
            return HTTPStatus.ACCEPTED
        if fault is RedfishFault.UNIMPLEMENTED:
            return HTTPStatus.NOT_IMPLEMENTED
        if fault is not RedfishFault.DEAF:
            self._on_nmi()
        if fault is RedfishFault.SLOW:
            time.sleep(1)
            return None
        return HTTPStatus.NO_CONTENT


class _Handler(BaseHTTPRequestHandler):
    redfish: Redfish
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        """A resource; the root is everybody's to read."""
        if self.path.rstrip("/") != _ROOT.rstrip("/") and not self._allowed():
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        document = self.redfish.document(self.path)
        self._answer(HTTPStatus.OK if document else HTTPStatus.NOT_FOUND, document)

    def do_POST(self) -> None:
        """The reset."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._allowed():
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        kind = ""
        with contextlib.suppress(ValueError, AttributeError):
            kind = str(json.loads(body).get("ResetType"))
        status = self.redfish.reset(kind) if self.path == _RESET else HTTPStatus.NOT_FOUND
        if status is None:
            self.close_connection = True
            return
        self._answer(status, _MESSAGE if status is HTTPStatus.BAD_REQUEST else None)

    def _allowed(self) -> bool:
        config = self.redfish.config
        wanted = base64.b64encode(f"{config.user}:{config.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _answer(self, status: HTTPStatus, document: dict[str, Any] | None = None) -> None:
        body = b"" if status is HTTPStatus.NO_CONTENT else json.dumps(document or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status is HTTPStatus.ACCEPTED:
            self.send_header("Location", f"{_ROOT}TaskService/Tasks/1/Monitor")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


@contextlib.contextmanager
def with_redfish(machine: inventory.Machine) -> Iterator[inventory.Machine]:
    """``machine``, of the lab, with a Redfish service whose Nmi is QEMU's inject-nmi."""
    with tempfile.TemporaryDirectory(prefix="kautopsy-redfish-") as name:
        folder = Path(name)
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(f"{secrets.token_urlsafe(12)}\n")
        bmc = machine.bmc or inventory.Bmc(
            address=_HERE, user="admin", password=Secret(file=str(password))
        )
        config = RedfishConfig(
            user=bmc.user,
            password=bmc.password.reveal() if bmc.password else "",
            uuid=machine.uuid,
            hostname=machine.nodename,
        )
        nmi = QmpWay(machine.qmp)
        with Redfish(config, folder, nmi.fire) as service:
            yield msgspec.structs.replace(
                machine,
                bmc=msgspec.structs.replace(bmc, redfish=service.url, ca=str(service.certificate)),
            )


def _make_certificate(name: str, key: Path, certificate: Path) -> None:
    kind = "IP" if name.replace(".", "").isdigit() or ":" in name else "DNS"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "2", "-subj", "/CN=kautopsy lab", "-keyout", str(key)]
    argv += ["-out", str(certificate), "-addext", f"subjectAltName={kind}:{name}"]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        raise MissingToolError("is not installed", thing="openssl") from None
