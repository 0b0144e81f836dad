"""One BMC: IPMI over LAN with accounts, chassis control, a diagnostic interrupt and SOL.

ipmi_sim speaks IPMI to the network and, over the protocol of QEMU's ``ipmi-bmc-extern``, to the
machine; its serial-over-LAN gets one end of a pty, whose other end is the machine's console.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import secrets
import select
import shutil
import socket
import subprocess
import threading
import time
import tty
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from kautopsy.lab.bmc.plugin import plugin
from kautopsy.lab.console import SerialPort
from kautopsy.lab.errors import LabError
from kautopsy.model.errors import MissingToolError

_SIMULATOR = "ipmi_sim"
_HERE = "127.0.0.1"
_START_SECONDS = 30.0
_ATTEMPTS = 5
# Nobody else is in a network namespace of one's own: the ports may be the usual ones.
_LAN_PORT, _VM_PORT = 623, 19623
_LOCKS = Path("/var/lock")
_BREAK = b"\xff\xf3"
"""What ipmi_sim's BREAK becomes on its pty, which has none (see diagnostic.c)."""
_METHODS = "none md2 md5 straight"


def installed() -> bool:
    """Whether ipmi_sim is here."""
    return shutil.which(_SIMULATOR) is not None


class Privilege(StrEnum):
    """How much an account may do; a diagnostic interrupt wants an operator."""

    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"


class Fault(StrEnum):
    """What this BMC does wrong."""

    LOST = "lost"
    """It accepts a diagnostic interrupt, and nothing happens."""
    RESET = "reset"
    """It resets the machine instead."""


@dataclass(frozen=True)
class Account:
    """Who may log in."""

    user: str
    password: str
    privilege: Privilege = Privilege.ADMIN


@dataclass(frozen=True)
class BmcConfig:
    """What a BMC is like.

    :param address: where it listens for IPMI
    :param namespace: of the network (``ip netns``) that it is in, as on a management network
    :param link: its address for QEMU, which stays outside of a namespace
    :param accounts: at most 15
    """

    address: str = _HERE
    namespace: str = ""
    link: str = _HERE
    accounts: tuple[Account, ...] = (
        Account("admin", "lab-admin"),
        Account("operator", "lab-operator", Privilege.OPERATOR),
        Account("viewer", "lab-viewer", Privilege.USER),
    )
    fault: Fault | None = None


class Bmc:
    """A running BMC, used as a context.

    :param folder: for its files, short-lived
    :param uuid: of the system, as its DMI has it too
    :ivar address: and
    :ivar port: where it speaks IPMI (UDP)
    :raises MissingToolError: ipmi_sim is not installed
    """

    def __init__(self, config: BmcConfig, folder: Path, uuid: UUID) -> None:
        if not installed():
            raise MissingToolError(
                "is not installed", thing=_SIMULATOR, hint="install openipmi and libopenipmi-dev"
            )
        self.config = config
        self.address = config.address
        self._uuid = uuid
        self._folder = folder
        self._console: SerialPort | None = None
        with contextlib.ExitStack() as stack:
            self._master, slave = pty.openpty()
            stack.callback(os.close, self._master)
            stack.callback(os.close, slave)
            tty.setraw(slave)
            os.set_blocking(self._master, False)
            self._wake, wake = os.pipe()
            stack.callback(os.close, self._wake)
            stack.callback(os.close, wake)
            # ipmi_sim locks a terminal by its name's last part, and believes any lock it finds.
            self._device = folder / f"sol-{secrets.token_hex(6)}"
            self._device.symlink_to(os.ttyname(slave))
            stack.callback(self._device.unlink, missing_ok=True)
            self.port, self._vm_port, self._process = self._start()
            stack.callback(self._end)
            self._thread = threading.Thread(target=self._pump, name="sol", daemon=True)
            self._thread.start()
            stack.callback(self._thread.join)
            stack.callback(os.write, wake, b"x")
            self._stack = stack.pop_all()

    def __enter__(self) -> Bmc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._stack.close()

    @property
    def password_file(self) -> Path:
        """Holds the first account's password."""
        return self._folder / "bmc.password"

    @property
    def qemu(self) -> tuple[str, ...]:
        """QEMU's arguments that join the machine to it."""
        return (
            "-chardev",
            f"socket,id=ipmi,host={self.config.link},port={self._vm_port},reconnect=1",
            *("-device", "ipmi-bmc-extern,chardev=ipmi,id=bmc"),
            *("-device", "isa-ipmi-kcs,bmc=bmc"),
        )

    def attach(self, console: SerialPort) -> None:
        """Bridge SOL to a machine's console."""
        self._console = console
        console.listen(self._show)

    # -- helpers -------------------------------------------------------------------------------

    def _start(self) -> tuple[int, int, subprocess.Popen[bytes]]:
        """Ports found free may be taken by somebody else before ipmi_sim has them."""
        for _ in range(_ATTEMPTS):
            lan, vm = (_LAN_PORT, _VM_PORT) if self.config.namespace else _free_ports(self.address)
            process = self._run(lan, vm)
            deadline = time.monotonic() + _START_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                if _listens(process.pid, lan):
                    return lan, vm, process
                time.sleep(0.05)
            process.kill()
            process.wait()
        words = (self._folder / "ipmi_sim.log").read_text(errors="replace").split()
        raise LabError(
            f"does not start: {' '.join(words)[-300:] or 'it does not say why'}",
            thing=_SIMULATOR,
            slug="no-bmc",
        )

    def _run(self, lan: int, vm: int) -> subprocess.Popen[bytes]:
        folder = self._folder
        # As SMBIOS has it, which is what servers' BMCs give: little-endian in front.
        guid = self._uuid.bytes_le.hex()
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(f"{self.config.accounts[0].password}\n")
        users = [
            f'  user {number} true "{account.user}" "{account.password}" {account.privilege}'
            f" 10 {_METHODS}"
            # User 1 is the one without a name.
            for number, account in enumerate(self.config.accounts, 2)
        ]
        (folder / "lan.conf").write_text(
            "\n".join(
                (
                    'name "kautopsy"',
                    "set_working_mc 0x20",
                    "  startlan 1",
                    f"    addr {self.address} {lan}",
                    "    priv_limit admin",
                    # Without one it opens no RMCP+ session.
                    f"    guid {guid}",
                    *(
                        f"    allowed_auths_{level} {_METHODS}"
                        for level in ("user", "operator", "admin")
                    ),
                    "  endlan",
                    f"  serial 15 {self.config.link} {vm} codec VM",
                    f'  sol "{self._device}" 115200',
                    *users,
                    f'loadlib "{plugin()}" "{self.config.fault or ""}"',
                    "",
                )
            )
        )
        (folder / "bmc.emu").write_text(
            "mc_setbmc 0x20\n"
            "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
            "sel_enable 0x20 1000 0x0a\n"
            f"mc_set_guid 0x20 {guid}\n"
            "mc_enable 0x20\n"
        )
        state = folder / "ipmi_sim"
        state.mkdir(exist_ok=True)
        inside = ("ip", "netns", "exec", self.config.namespace) if self.config.namespace else ()
        files = ("-c", str(folder / "lan.conf"), "-f", str(folder / "bmc.emu"), "-s", str(state))
        with (folder / "ipmi_sim.log").open("wb") as words:
            return subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", *inside),
                    *("env", f"LD_PRELOAD={plugin()}", _SIMULATOR, "-n", *files),
                ],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        (_LOCKS / f"LCK..{self._device.name}").unlink(missing_ok=True)

    def _show(self, data: bytes) -> None:
        # Where nobody reads SOL the pty fills up, and a real BMC drops what comes then.
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    def _pump(self) -> None:
        """What is typed over SOL goes to the console."""
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            with contextlib.suppress(OSError):
                data = os.read(self._master, 4096)
                if self._console is None:
                    continue
                before, *after = data.split(_BREAK)
                self._console.write(before)
                for part in after:
                    self._console.send_break()
                    self._console.write(part)


def _free_ports(address: str) -> tuple[int, int]:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as lan,
        socket.socket() as vm,
    ):
        lan.bind((address, 0))
        vm.bind((_HERE, 0))
        return int(lan.getsockname()[1]), int(vm.getsockname()[1])


def _listens(pid: int, port: int) -> bool:
    """Whether anybody in the process's network namespace has the UDP port."""
    try:
        text = Path(f"/proc/{pid}/net/udp").read_text()
    except OSError:
        return False
    return re.search(rf"^\s*\d+: [0-9A-F]+:{port:04X} ", text, re.M) is not None
