"""A whole machine that runs: reached over ssh as any other, and over its console and QMP.

It boots from its disk through BIOS and GRUB, reboots as often as it wants, and writes to an overlay
of an image that all machines share.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from kautopsy.host import inventory
from kautopsy.host.ssh import SshHost
from kautopsy.lab.bmc.simulator import Bmc, BmcConfig
from kautopsy.lab.config import Limits
from kautopsy.lab.emulated import Emulated
from kautopsy.lab.errors import LabError
from kautopsy.lab.guest import working_accelerator
from kautopsy.lab.machines.entry import inventory_entry
from kautopsy.lab.machines.image import MachineImage
from kautopsy.lab.machines.relay import ConsoleRelay
from kautopsy.lab.qemu import Accelerator, common_argv
from kautopsy.model.errors import MissingToolError, UnreachableError, UsageError

_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\b")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_PAUSE = 1.0
_NODENAME = "kautopsy-lab"
_QMP, _CONSOLE = "qmp.socket", "console.socket"


@dataclass(frozen=True)
class DirectBoot:
    """A kernel that QEMU starts itself, past GRUB: for a disk that has none yet."""

    kernel: Path
    initrd: Path


@dataclass(frozen=True)
class MachineConfig:
    """What a machine is made of.

    :param disk: a disk image to go on with, as :meth:`Machine.keep_disk` leaves it; it is not
        written to unless ``own_disk``. None takes the image's.
    :param direct: how to boot where the disk has no boot loader
    :param bmc: what its BMC is like; None gives it none
    :param uuid: of the system, as its firmware and its BMC say it
    :param qemu: more QEMU arguments
    """

    image: MachineImage
    memory_mib: int = 1024
    cpus: int = 1
    disk: Path | None = None
    own_disk: bool = False
    direct: DirectBoot | None = None
    bmc: BmcConfig | None = None
    uuid: UUID = field(default_factory=uuid4)
    accelerator: Accelerator | None = None
    qemu: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class MachineHardware:
    """How QEMU is told of it."""

    accelerator: Accelerator
    memory_mib: int
    cpus: int
    disk: Path
    disk_format: str
    direct: DirectBoot | None
    extra: tuple[str, ...]
    ports = ("console",)
    breaks = True

    def argv(self, folder: Path) -> list[str]:
        """QEMU's command line."""
        argv = [
            *common_argv(
                self.accelerator, self.memory_mib, self.cpus, folder, own_time=True, breaks=True
            ),
            # A second one, for others: a socket serves one client.
            *("-chardev", f"socket,id=qmp2,path={folder / _QMP},server=on,wait=off"),
            *("-mon", "qmp2,mode=control"),
            "-drive",
            f"if=virtio,format={self.disk_format},cache=unsafe,file={self.disk}",
            # The guest reaches nobody; QEMU itself chooses the port that is free.
            *("-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]
        if self.direct is not None:
            argv += ["-kernel", str(self.direct.kernel), "-initrd", str(self.direct.initrd)]
            argv += ["-append", "root=LABEL=root ro console=ttyS0,115200"]
        return [*argv, *self.extra]


class Machine(Emulated):
    """One machine, used as a context: leaving it ends QEMU and removes all of its files.

    :ivar folder: its files: ``console.log``, ``overlay.qcow2``
    :ivar port: of its sshd on 127.0.0.1, from :meth:`boot` on
    """

    def __init__(
        self, config: MachineConfig, *, tee: Callable[[bytes], None] | None = None
    ) -> None:
        super().__init__(f"lab:{config.image.name}", config.limits, tee)
        self.config = config
        self.port = 0
        self._host: SshHost | None = None
        self._bmc: Bmc | None = None

    # -- what others may use -------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the image."""
        return self.config.image.name

    @property
    def bmc(self) -> Bmc:
        """Its BMC, which has power while the machine has none.

        :raises UsageError: it has no BMC, or was never switched on
        """
        return self._on(self._bmc)

    @property
    def has_bmc(self) -> bool:
        """Whether :attr:`bmc` is there."""
        return self._bmc is not None

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """For ``ssh -o``, with the image's name as the host's."""
        image = self.config.image
        return (
            "HostName=127.0.0.1",
            f"Port={self.port}",
            "User=root",
            f"HostKeyAlias={image.name}",
            f"UserKnownHostsFile={image.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            f"IdentityFile={image.key}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ProxyCommand=none",
            "ProxyJump=none",
        )

    @property
    def host(self) -> SshHost:
        """The machine over ssh; the connection is made when it is used."""
        if self._host is None:
            self._host = self._connect()
        return self._host

    def entry(self) -> inventory.Machine:
        """What an inventory would say of it: how every verb reaches it, its BMC and its console."""
        return inventory_entry(
            f"lab:{self.name}",
            nodename=_NODENAME,
            uuid=self.config.uuid,
            options=self.ssh_options,
            qmp=self.folder / _QMP,
            console=self.folder / _CONSOLE,
            bmc=self._bmc,
        )

    def boot(self) -> None:
        """Switch it on; :meth:`wait_until_up` waits for its sshd.

        :raises GuestLostError: QEMU refuses
        """
        if self.running:
            raise UsageError("the machine is on", slug="guest-state")
        self._switch_off()
        config = self.config
        if config.bmc is not None and self._bmc is None:
            self._bmc = self._stack.enter_context(Bmc(config.bmc, self.folder, config.uuid))
        disk, disk_format = self._disk()
        hardware = MachineHardware(
            accelerator=config.accelerator or working_accelerator(),
            memory_mib=config.memory_mib,
            cpus=config.cpus,
            disk=disk,
            disk_format=disk_format,
            direct=config.direct,
            extra=(
                *("-uuid", str(config.uuid)),
                *(self._bmc.qemu if self._bmc else ()),
                *config.qemu,
            ),
        )
        self._switch_on(hardware)
        relay = ConsoleRelay(self.console, self.folder / _CONSOLE)
        self._power.callback(relay.close)
        if self._bmc is not None:
            self._bmc.attach(self.console)
        self._power.callback(self._disconnect)
        self.port = self._forwarded_port()

    def wait_until_up(self, *, after: str | None = None, settled: bool = True) -> str:
        """Wait until root can log in, and return the boot's id.

        :param after: the id of the boot that must be over
        :param settled: until systemd has started all there is, too
        :raises GuestLostError: it did not come up in time
        """
        deadline = time.monotonic() + self._limits.boot
        while True:
            try:
                boot = self._look(_BOOT_ID)
            except UnreachableError as error:
                boot, said = "", str(error)
            else:
                said = "it still runs"
            if boot and boot != after:
                break
            if not self.running:
                raise self._lost("it ended while the lab waited for its sshd")
            if time.monotonic() > deadline:
                raise self._lost(f"no login after {self._limits.boot:.0f} s: {said}")
            time.sleep(_PAUSE)
        if settled:
            # Its status is 1 where a unit failed: that is the machine's business.
            self.host.run(["systemctl", "is-system-running", "--wait"], timeout=self._limits.boot)
        return boot

    def boot_id(self) -> str:
        """Of the kernel that runs now."""
        return self.host.read(_BOOT_ID).decode().strip()

    def reboot(self) -> str:
        """Reboot in order, and return the new boot's id."""
        before = self.boot_id()
        with contextlib.suppress(UnreachableError):
            self.host.run(["systemctl", "reboot"], timeout=30)
        return self.wait_until_up(after=before)

    def power_off(self) -> None:
        """Shut it down in order.

        :raises GuestLostError: it did not end in time
        """
        with contextlib.suppress(UnreachableError):
            self.host.run(["systemctl", "poweroff"], timeout=30)
        assert self._qemu is not None
        if not self._qemu.wait(self._limits.command):
            raise self._lost("it was told to power off and did not")
        self._switch_off()

    def reset(self) -> None:
        """Press the reset button."""
        self._disconnect()
        self.qmp.execute("system_reset")

    def keep_disk(self, final: Path) -> None:
        """Copy what this machine wrote to ``final``, for :attr:`MachineConfig.disk` of others.

        :raises UsageError: it is on
        """
        if self.running:
            raise UsageError("the machine is on", slug="guest-state")
        shutil.copyfile(self.folder / "overlay.qcow2", final)

    # -- helpers -------------------------------------------------------------------------------

    def _disk(self) -> tuple[Path, str]:
        """The disk to write to, and its format."""
        config = self.config
        if config.own_disk:
            return config.disk or config.image.disk, "raw"
        overlay = self.folder / "overlay.qcow2"
        if overlay.exists():
            return overlay, "qcow2"  # it was on before
        if config.disk is not None:
            shutil.copyfile(config.disk, overlay)
            return overlay, "qcow2"
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw"]
        try:
            done = subprocess.run(
                [*argv, "-b", str(config.image.disk.absolute()), str(overlay)],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise MissingToolError(
                "is not installed", thing="qemu-img", hint="install qemu-utils"
            ) from None
        if done.returncode:
            raise LabError(done.stderr.strip(), thing="qemu-img")
        return overlay, "qcow2"

    def _forwarded_port(self) -> int:
        said = self.qmp.execute("human-monitor-command", **{"command-line": "info usernet"})
        match = _FORWARD.search(str(said))
        if match is None:
            raise self._lost("QEMU forwards no port to its sshd")
        return int(match[1])

    def _connect(self, *, connect_timeout: int = 15) -> SshHost:
        return SshHost(self.name, options=self.ssh_options, connect_timeout=connect_timeout)

    def _look(self, path: str) -> str:
        """Read a file over a connection of its own: an old one may hang on a dead kernel."""
        with self._connect(connect_timeout=10) as host:
            text = host.read(path).decode().strip()
        self._disconnect()
        return text

    def _disconnect(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None
