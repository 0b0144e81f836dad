"""One QEMU process: its command line, its monitor and ports, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from kautopsy.lab.errors import GuestLostError
from kautopsy.lab.wire import Wire
from kautopsy.model.errors import MissingToolError

_PROGRAM = "qemu-system-x86_64"
_CONNECT_SECONDS = 60.0


class Accelerator(StrEnum):
    """How QEMU runs guest code."""

    KVM = "kvm"
    TCG = "tcg"


class Hardware(Protocol):
    """A machine as QEMU is told it."""

    @property
    def ports(self) -> tuple[str, ...]:
        """Serial ports whose pipes QEMU opens, by their names in the folder."""

    @property
    def breaks(self) -> bool:
        """They take a BREAK."""

    def argv(self, folder: Path) -> list[str]:
        """QEMU's command line; its sockets and pipes are in ``folder``."""


def common_argv(
    accelerator: Accelerator,
    memory_mib: int,
    cpus: int,
    folder: Path,
    *,
    own_time: bool = False,
    breaks: bool = False,
) -> list[str]:
    """How every guest's command line starts.

    :param own_time: where the CPU is emulated, its clock goes by what it has run, so that a host
        that forgets it for a minute costs it no watchdog and no time limit; one CPU at a time then
    :param breaks: its console takes a BREAK
    """
    # With five-level page tables the tools of older suites find nothing; with SVM, udev has the
    # emulated CPU start a hypervisor.
    threads, cpu, clock = "", "max,la57=off,svm=off", []
    if accelerator is Accelerator.TCG:
        # TCG stores "rep stosb" byte by byte: kernels that think it fast copy at half the speed.
        threads, cpu = ",thread=multi", f"{cpu},erms=off,fsrm=off"
        if own_time:
            # 2^3 ns an instruction; -icount is not for several threads. The RTC goes with it: a
            # capture kernel's clock must not be behind that of the kernel that died.
            threads = ",thread=single"
            clock = ["-icount", "shift=3,sleep=on", "-rtc", "clock=vm"]
    return [
        _PROGRAM,
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-accel", f"{accelerator}{threads}", *clock),
        *("-cpu", cpu),
        *("-m", str(memory_mib), "-smp", str(cpus)),
        *("-chardev", f"socket,id=qmp,path={folder / 'qmp'}", "-mon", "qmp,mode=control"),
        *serial_argv("console", folder, breaks=breaks),
    ]


def serial_argv(name: str, folder: Path, *, breaks: bool = False) -> list[str]:
    """The next serial port, on a :class:`~kautopsy.lab.wire.Wire`."""
    mux = ",mux=on" * breaks
    return ["-chardev", f"pipe,id={name},path={folder / name}{mux}", "-serial", f"chardev:{name}"]


@dataclass(frozen=True)
class InitramfsHardware:
    """A machine that boots the lab's own initramfs, and ends where it would reboot.

    :param disks: raw images; the first is /dev/vda in the guest
    """

    accelerator: Accelerator
    memory_mib: int
    cpus: int
    kernel: Path
    initramfs: Path
    append: str
    disks: tuple[Path, ...]
    extra: tuple[str, ...] = ()
    ports = ("console", "shell")
    breaks = False

    def argv(self, folder: Path) -> list[str]:
        """QEMU's command line; its sockets and pipes are in ``folder``."""
        argv = [
            *common_argv(self.accelerator, self.memory_mib, self.cpus, folder),
            "-no-reboot",
            *("-kernel", str(self.kernel), "-initrd", str(self.initramfs)),
            *("-append", self.append),
            *serial_argv("shell", folder),
            *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"),
        ]
        for disk in self.disks:
            argv += ["-drive", f"if=virtio,format=raw,cache=unsafe,file={disk}"]
        return [*argv, *self.extra]


class Qemu:
    """A running QEMU. It dies with the thread that started it, however that one ends.

    :ivar qmp: the monitor's socket, connected
    :ivar ports: the hardware's serial ports
    :raises MissingToolError: QEMU is not installed
    :raises GuestLostError: it ended at once; the error holds its own words
    """

    def __init__(self, hardware: Hardware, folder: Path) -> None:
        for tool in (_PROGRAM, "setpriv"):
            if shutil.which(tool) is None:
                raise MissingToolError(
                    "is not installed", thing=tool, hint="install qemu-system-x86 and util-linux"
                )
        self._words = folder / "qemu.log"
        listener = _listen(folder / "qmp")
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            self.ports = {
                name: Wire(folder / name, breaks=hardware.breaks) for name in hardware.ports
            }
            for port in self.ports.values():
                undo.callback(port.close)
            with self._words.open("wb") as words:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *hardware.argv(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    # Ctrl-C is for us: we take the guest down in order.
                    start_new_session=True,
                )
            undo.callback(self.kill)
            self.qmp = self._accept(listener)
            listener.close()
            undo.pop_all()

    @property
    def running(self) -> bool:
        """QEMU has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    @property
    def words(self) -> str:
        """What QEMU itself said, which is nothing if all is well."""
        with contextlib.suppress(OSError):
            return " ".join(self._words.read_text(errors="replace").split())
        return ""

    def wait(self, seconds: float) -> bool:
        """Wait for QEMU's end; False if it did not come in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_SECONDS
        listener.settimeout(0.2)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(None)
                return connection
            if not self.running:
                break
        raise GuestLostError("QEMU did not start", hint=self.words or "it said nothing")


def version() -> str:
    """QEMU's version line.

    :raises MissingToolError: it is not installed
    """
    try:
        done = subprocess.run([_PROGRAM, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MissingToolError(
            "is not installed", thing=_PROGRAM, hint="install qemu-system-x86"
        ) from None
    return done.stdout.split("\n", 1)[0]


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener
