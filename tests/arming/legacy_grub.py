"""A disk as el6 has it: an MBR, an ext3, GRUB Legacy with its grub.conf; and a guest that boots it.

Everything but the kernel and the first process is the real thing: stage1, stage1_5 and stage2 of
Debian's grub-legacy, installed by its own shell.
"""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.config import Limits
from kautopsy.lab.console import SerialPort
from kautopsy.lab.cpio import CpioWriter
from kautopsy.lab.folder import guest_folder
from kautopsy.lab.guest import working_accelerator
from kautopsy.lab.kernels import GuestKernel
from kautopsy.lab.qemu import Accelerator, Qemu, common_argv
from kautopsy.lab.tools import fetch_tools

GRUB = shutil.which("grub", path="/usr/sbin:/sbin")
STAGES = Path("/usr/lib/grub/x86_64-pc")
_MIB = 96
_OFFSET = 1 << 20
_INIT = """\
#!/bin/sh
/bin/busybox mkdir -p /proc /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
echo "cmdline: $(/bin/busybox cat /proc/cmdline) :end" >/dev/ttyS0
/bin/busybox poweroff -f
"""


def initramfs(kernel: GuestKernel) -> bytes:
    """A first process that tells the command line and switches off."""
    archive = io.BytesIO()
    with CpioWriter(archive) as cpio:
        cpio.node("dev/console", 5, 1)
        cpio.file("bin/busybox", fetch_tools(kernel.series.tools).busybox.read_bytes(), 0o755)
        cpio.symlink("bin/sh", "busybox")
        cpio.file("init", _INIT.encode(), 0o755)
    return archive.getvalue()


def make_disk(disk: Path, tree: Path) -> None:
    """``tree`` in an ext3 in the first partition of ``disk``, and GRUB before it."""
    assert GRUB is not None
    grub = tree / "boot/grub"
    for stage in ("stage1", "stage2", "e2fs_stage1_5"):
        shutil.copy(STAGES / stage, grub)
    sectors = (_MIB << 20) // 512
    start = _OFFSET // 512
    chs = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, chs, 0x83, chs, start, sectors - start)
    with disk.open("wb") as file:
        file.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        file.truncate(_MIB << 20)
    # el6's own choice of features, as far as this GRUB reads them.
    make = ["mke2fs", "-q", "-F", "-t", "ext3", "-b", "4096", "-I", "128", "-d", str(tree)]
    blocks = ((_MIB << 20) - _OFFSET) // 4096
    subprocess.run([*make, "-E", f"offset={_OFFSET}", str(disk), str(blocks)], check=True)
    done = subprocess.run(
        [GRUB, "--batch", "--device-map=/dev/null"],
        input=f"device (hd0) {disk}\nroot (hd0,0)\nsetup (hd0)\nquit\n",
        text=True,
        capture_output=True,
        check=True,
    )
    assert "succeeded" in done.stdout and "Error" not in done.stdout, done.stdout


@dataclass(frozen=True)
class _DiskOnly:
    accelerator: Accelerator
    disk: Path
    ports = ("console",)
    breaks = False

    def argv(self, folder: Path) -> list[str]:
        return [
            *common_argv(self.accelerator, 512, 1, folder),
            "-no-reboot",
            *("-drive", f"if=ide,format=raw,cache=unsafe,file={self.disk}"),
        ]


def boot(disk: Path) -> str:
    """Boot it through BIOS and GRUB; what the kernel was told."""
    said = re.compile(r"cmdline: (.*) :end")
    with guest_folder() as folder:
        qemu = Qemu(_DiskOnly(working_accelerator(), disk), folder)
        console = SerialPort(qemu.ports["console"], news=threading.Condition())
        try:
            deadline = time.monotonic() + Limits().patient().boot
            while console.find(said) is None:
                assert time.monotonic() < deadline and not console.closed, console.texts[-20:]
                time.sleep(0.2)
            text = "\n".join(console.texts)
        finally:
            qemu.kill()
            console.close()
            qemu.qmp.close()
    match = said.search(text)
    assert match is not None
    return match[1]
