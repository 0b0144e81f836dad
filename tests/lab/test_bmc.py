"""The BMC, spoken to by ipmitool and pyghmi; a socket stands in for the machine and its console."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from kautopsy.lab.bmc.simulator import Bmc, BmcConfig, Fault, installed
from kautopsy.lab.console import SerialPort

pytestmark = [
    pytest.mark.skipif(not installed(), reason="ipmi_sim is not installed"),
    pytest.mark.skipif(shutil.which("ipmitool") is None, reason="ipmitool is not installed"),
    pytest.mark.skipif(
        not Path("/usr/include/OpenIPMI/mcserv.h").exists(), reason="no libopenipmi-dev"
    ),
]
# QEMU's hw/ipmi/ipmi_bmc_extern.c: commands between the BMC and the machine, each with an end byte.
_END = 0xA1
_VERSION, _RESET, _NMI, _CAPABILITIES = 0xFF, 0x04, 0x07, 0x08


def _connected(port: int) -> socket.socket:
    """ipmi_sim opens its LAN before the machine's channel; QEMU tries again, and so does this."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Wire:
    """The machine's end of the channel: says what it can do, and keeps what it is told."""

    def __init__(self, bmc: Bmc) -> None:
        argument = bmc.qemu[1]
        port = int(argument.partition("port=")[2].partition(",")[0])
        self._socket = _connected(port)
        self.told: list[int] = []
        # Version 1; power, reset, NMI and attention are here.
        self._socket.sendall(bytes([_VERSION, 1, _END, _CAPABILITIES, 0x1F, _END]))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(100):
                self.told += data

    def wait(self, code: int) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if code in self.told:
                return True
            time.sleep(0.02)
        return False

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def bmc(folder: Path, fault: Fault | None = None) -> Iterator[tuple[Bmc, Wire]]:
    with Bmc(BmcConfig(fault=fault), folder, uuid4()) as controller:
        wire = Wire(controller)
        try:
            yield controller, wire
        finally:
            wire.close()


def _ipmitool(
    controller: Bmc, user: str, level: str, *words: str, password: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("ipmitool", "-I", "lanplus", "-C", "3", "-H", controller.address),
            *("-p", str(controller.port), "-U", user, "-E", "-L", level, "-N", "2", "-R", "2"),
            *words,
        ],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "IPMI_PASSWORD": password or f"lab-{user}"},
        timeout=60,
        check=False,
    )


def _power(controller: Bmc, what: str, user: str = "admin", level: str = "ADMINISTRATOR") -> str:
    done = _ipmitool(controller, user, level, "chassis", "power", what)
    return done.stdout + done.stderr


def test_a_diagnostic_interrupt_becomes_an_nmi(tmp_path: Path) -> None:
    with bmc(tmp_path) as (controller, wire):
        deadline = time.monotonic() + 10
        while "is on" not in _power(controller, "status"):
            assert time.monotonic() < deadline
        assert "Diag" in _power(controller, "diag", "operator", "OPERATOR")
        assert wire.wait(_NMI)
        assert _RESET not in wire.told
        assert "Reset" in _power(controller, "reset")
        assert wire.wait(_RESET)


def test_it_says_whose_it_is(tmp_path: Path) -> None:
    uuid = UUID("0f3a6b52-7c1d-4e8f-9a0b-1c2d3e4f5a6b")
    with Bmc(BmcConfig(), tmp_path, uuid) as controller:
        said = _ipmitool(controller, "admin", "ADMINISTRATOR", "mc", "guid").stdout
        assert str(uuid) in said


def test_who_may_not_and_who_is_nobody(tmp_path: Path) -> None:
    with bmc(tmp_path) as (controller, wire):
        assert "Insufficient privilege" in _power(controller, "diag", "viewer", "USER")
        wrong = _ipmitool(controller, "admin", "ADMINISTRATOR", "mc", "info", password="no")
        assert wrong.returncode and "RMCP+" in wrong.stdout + wrong.stderr
        assert _NMI not in wire.told


def test_a_machine_that_is_off_cannot_be_interrupted(tmp_path: Path) -> None:
    with Bmc(BmcConfig(), tmp_path, uuid4()) as controller:
        assert "is off" in _power(controller, "status")
        assert "failed" in _power(controller, "diag")


@pytest.mark.parametrize(("fault", "nmi", "reset"), [(Fault.LOST, 0, 0), (Fault.RESET, 0, 1)])
def test_bmcs_that_say_yes_and_do_something_else(
    fault: Fault, nmi: int, reset: int, tmp_path: Path
) -> None:
    with bmc(tmp_path, fault) as (controller, wire):
        assert "Diag" in _power(controller, "diag")
        time.sleep(0.5)
        assert (wire.told.count(_NMI), wire.told.count(_RESET)) == (nmi, reset)


def test_serial_over_lan_is_the_console(tmp_path: Path) -> None:
    console = pytest.importorskip("pyghmi.ipmi.console")
    ours, theirs = socket.socketpair()
    port = SerialPort(ours, news=threading.Condition())
    with bmc(tmp_path) as (controller, _):
        controller.attach(port)
        heard = bytearray()

        def hear(data: object) -> None:
            if isinstance(data, bytes):
                heard.extend(data)

        session = console.Console(
            bmc=controller.address,
            port=controller.port,
            userid=b"admin",
            password=b"lab-admin",
            iohandler=hear,
            force=True,
        )
        try:
            deadline = time.monotonic() + 30
            while not session.connected or b"Kernel panic" not in heard:
                assert time.monotonic() < deadline, (session.connected, bytes(heard))
                if session.connected:
                    theirs.sendall(b"Kernel panic - not syncing\r\n")
                session.wait_for_rsp(timeout=0.2)
            session.send_data(b"root\r")
            theirs.settimeout(0.2)
            typed = b""
            while b"root\r" not in typed:
                assert time.monotonic() < deadline, typed
                session.wait_for_rsp(timeout=0.2)
                with contextlib.suppress(TimeoutError):
                    typed += theirs.recv(100)
        finally:
            session.close()
    port.close()
    theirs.close()
