"""What a guest is made of, and how long it may take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kautopsy.lab.kernels import GuestKernel
from kautopsy.lab.qemu import Accelerator
from kautopsy.model.errors import UsageError

PATIENCE_VARIABLE = "KAUTOPSY_LAB_PATIENCE"


@dataclass(frozen=True)
class Limits:
    """Seconds, for software emulation on a busy machine with two CPUs.

    ``silence`` ends the wait for the capture kernel when its console says nothing for so long.
    ``KAUTOPSY_LAB_PATIENCE`` multiplies them all.
    """

    boot: float = 240.0
    command: float = 120.0
    crash: float = 120.0
    capture_kernel: float = 240.0
    silence: float = 90.0
    save: float = 600.0

    def patient(self) -> Limits:
        """These, multiplied as the environment asks.

        :raises UsageError: it asks for something that is no number above 0
        """
        text = os.environ.get(PATIENCE_VARIABLE, "1")
        try:
            factor = float(text)
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            raise UsageError(
                "is no number above 0", thing=f"{PATIENCE_VARIABLE}={text}", slug="bad-patience"
            )
        return Limits(*(getattr(self, name) * factor for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class GuestConfig:
    """What a guest is made of.

    :param modules: loaded when it boots, with what they need; built-in ones cost nothing
    :param files: path in the guest → contents or a file on the host (its mode is kept)
    :param append: more kernel command line
    :param dump_level: ``makedumpfile -d``; None takes what loses nothing on this kernel
    :param makedumpfile: more arguments; ``-c`` (zlib) unless they choose the compression
    :param sink_mib: size of the disk the dump is saved to; sparse on the host
    :param disks: raw images, /dev/vdb and on
    :param capture_append: more command line for the capture kernel
    :param capture_prelude: shell text that its first process runs before anything else
    :param capture_image: False leaves the capture kernel's image away
    :param shell: an interactive shell on the console
    :param accelerator: None takes KVM if it works here
    :param qemu: more QEMU arguments
    """

    kernel: GuestKernel
    memory_mib: int = 1024
    cpus: int = 2
    crashkernel: str = "256M"
    append: str = ""
    modules: tuple[str, ...] = ("virtio_net", "loop", "dm_mod", "overlay")
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    hostname: str = "kautopsy-lab"
    dump_level: int | None = None
    makedumpfile: tuple[str, ...] = ("-c",)
    sink_mib: int = 8192
    disks: tuple[Path, ...] = ()
    capture_append: str = ""
    capture_prelude: str = ""
    capture_image: bool = True
    shell: bool = False
    accelerator: Accelerator | None = None
    qemu: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def makedumpfile_arguments(self) -> tuple[str, ...]:
        """All arguments before the file names; 22 is common, error and report messages."""
        level = self.kernel.series.dump_level if self.dump_level is None else self.dump_level
        return (*self.makedumpfile, "-d", str(level), "--message-level", "22")
