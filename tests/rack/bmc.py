"""A BMC for the fast tier, on pyghmi's server class, in a process of its own; with faults.

``python bmc.py PORT FAULT``: stdin takes lines of JSON, ``{"console": TEXT}``; stdout tells
``{"diag": N}`` and ``{"typed": TEXT}``. Faults: ``none``, ``deaf`` (diag is answered and nothing
happens), ``unable`` (0xCC), ``reset`` (told as a reset), ``cipher`` (no suite is accepted),
``mute`` (goes silent after the first console text).
"""

from __future__ import annotations

import json
import os
import select
import struct
import sys
import threading
import uuid
from typing import Any

import pyghmi.ipmi.private.serversession as serversession  # type: ignore[import-untyped]
from pyghmi.ipmi.bmc import Bmc  # type: ignore[import-untyped]
from pyghmi.ipmi.private import session as ipmisession

UUID = uuid.UUID("4c4c4544-0037-3010-8048-b7c04f4d3733")
SERIAL = "7G70H73"
PASSWORDS = {"ops": "s3cret of ops", "reader": "reader's own"}
MOST = {"ops": 4, "reader": 2}
"""The highest privilege that each user may have."""

_PRODUCT_FRU = 0


def tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fru() -> bytes:
    """A FRU with one product area that holds a serial number (IPMI FRU Information Storage)."""

    def text(value: str) -> bytes:
        return bytes([0xC0 | len(value)]) + value.encode()

    fields = b"".join(map(text, ("Maker", "Model", "Part", "1.0", SERIAL, "")))
    area = b"\x01\x00\x19" + fields + b"\xc1"
    area += bytes(-(len(area) + 1) % 8)
    area = area[:1] + bytes([(len(area) + 1) // 8]) + area[2:]
    area += bytes([-sum(area) & 0xFF])
    header = bytes([1, 0, 0, 0, 1, 0, 0])
    return header + bytes([-sum(header) & 0xFF]) + area


class Session(serversession.ServerSession):  # type: ignore[misc]
    """Refuses suites other than 3, and privileges that a user may not have."""

    def create_open_session_response(self, request: bytearray) -> bytearray:
        response: bytearray = super().create_open_session_response(request)
        # Payloads of eight bytes from 8 on: authentication, integrity, confidentiality.
        if self.bmc.fault == "cipher" or request[12] & 0x3F != 1:
            return bytearray([request[0], 0x11, 0, 0]) + request[4:8]  # no matching cipher suite
        return response

    def _got_rakp1(self, data: Any) -> None:
        name = bytes(data[28:]).decode()
        status = 0
        if name not in PASSWORDS:
            status = 0x0D  # unauthorized name
        elif data[24] & 0xF > MOST[name]:
            status = 0x09  # unauthorized role or privilege level
        if status:
            payload = bytearray([data[0], status, 0, 0]) + self.clientsessionid
            self.send_payload(payload, serversession.constants.payload_types["rakp2"], retry=False)
            return
        super()._got_rakp1(data)


serversession.ServerSession = Session


class FakeBmc(Bmc):  # type: ignore[misc]
    """What a machine's BMC does."""

    def __init__(self, port: int, fault: str) -> None:
        super().__init__(PASSWORDS, port=port, address="127.0.0.1", bmcuuid=UUID)
        self.fault = fault
        self.diags = 0
        self.iohandler = self._typed
        self.said = 0

    def _typed(self, data: object) -> None:
        if isinstance(data, bytes | bytearray):
            tell(typed=bytes(data).decode(errors="replace"))
        elif isinstance(data, dict) and "break" in data:
            tell(typed="<BREAK>")

    def get_power_state(self) -> str:
        return "on"

    def is_active(self) -> bool:
        return True

    def get_system_guid(self) -> uuid.UUID:
        return UUID

    def pulse_diag(self) -> int:
        if self.fault == "unable":
            raise NotImplementedError
        self.diags += 1
        tell(diag=self.diags)
        return 0

    def handle_raw_request(self, request: dict[str, Any], session: Any) -> None:
        netfn, command, data = request["netfn"], request["command"], request["data"]
        if (netfn, command) == (0, 2) and getattr(session, "clientpriv", 2) < 3:
            session.send_ipmi_response(code=0xD4)
        elif (netfn, command) == (6, 0x4B):
            # Get Payload Instance Info: without it consoles break after 29 s without a word.
            # The BMC's own number of the session, not the one that the client chose.
            owner = struct.pack("<I", session.localsid if self.activated else 0)
            session.send_ipmi_response(data=[*owner, *bytes(8)])
        elif (netfn, command) == (0x0A, 0x10):
            size = len(fru())
            session.send_ipmi_response(data=[size & 0xFF, size >> 8, 0])
        elif (netfn, command) == (0x0A, 0x11):
            offset, count = data[1] | data[2] << 8, data[3]
            piece = fru()[offset : offset + count]
            session.send_ipmi_response(data=[len(piece), *piece])
        else:
            super().handle_raw_request(request, session)

    def say(self, text: str) -> None:
        if self.fault == "mute" and self.said:
            # The network, or the BMC's firmware, went away in the middle.
            os._exit(3)
        self.said += 1
        if self.sol is not None:
            self.sol.send_data(text.encode())


def main() -> None:
    bmc = FakeBmc(int(sys.argv[1]), sys.argv[2])
    tell(ready=True)
    rest = b""
    while True:
        ipmisession.Session.wait_for_rsp(0.05)
        if select.select([0], [], [], 0)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                bmc.say(json.loads(line)["console"])


if __name__ == "__main__":
    threading.current_thread().name = "bmc"
    main()
