"""A machine of another architecture: an arm64 guest that dies, and QEMU's dump of what is left.

Under emulation it boots in a quarter of a minute. QEMU dumps it from outside, because Debian's
makedumpfile does not know this kernel's address space ("VA Bits 52 not supported", 1.7.6).
"""

from __future__ import annotations

import hashlib
import io
import lzma
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from kautopsy.host.debian import DebianSuite
from kautopsy.lab.archive import unpack
from kautopsy.lab.cache import lab_cache, locked, staged
from kautopsy.lab.config import Limits
from kautopsy.lab.cpio import CpioWriter
from kautopsy.lab.errors import GuestLostError, LabError, console_tail
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import KautopsyError, MissingToolError
from kautopsy.trigger.qmp import QmpClient

QEMU = "qemu-system-aarch64"
_SUITE = "trixie"
_TRUTH = "truth.json"
_DEAD = "---[ end Kernel panic"
_INIT = """\
#!/bin/sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
insmod /qemu_fw_cfg.ko
hostname kautopsy-arm64
mkfifo /pipe
cat /pipe &
sleep 100000 &
sleep 1
echo {nonce} >/dev/kmsg
echo c >/proc/sysrq-trigger
"""


class Arm64Specimen(Noun, frozen=True, kw_only=True):
    """The dump, and what is true of the machine it is of: sh wrote ``nonce``, then to sysrq.

    :param folder: holds ``vmcore``
    :param release: ``uname -r``
    """

    folder: str
    release: str
    nonce: str

    @property
    def vmcore(self) -> Path:
        """The dump, an ELF file."""
        return Path(self.folder) / "vmcore"


def arm64_specimen() -> Arm64Specimen:
    """The specimen, from the cache if it is there.

    :raises KautopsyError: the kernel cannot be had, or the guest could not be booted
    """
    shelf = lab_cache() / "specimens"
    shelf.mkdir(exist_ok=True)
    with locked(shelf):
        root = _fetched()
        release = next((root / "usr/lib/modules").iterdir()).name
        recipe = hashlib.sha256(f"{release} {Path(__file__).read_text()}".encode()).hexdigest()
        folder = shelf / f"arm64-{recipe[:16]}"
        if (found := _read(folder)) is None:
            with staged(folder) as draft:
                nonce = f"kautopsy-arm64-{secrets.token_hex(8)}"
                _make(root, release, nonce, draft)
                made = Arm64Specimen(folder=str(folder), release=release, nonce=nonce)
                (draft / _TRUTH).write_text(to_json(made))
            found = made
    return found


def _read(folder: Path) -> Arm64Specimen | None:
    try:
        return from_json((folder / _TRUTH).read_bytes(), Arm64Specimen)
    except (OSError, KautopsyError):
        return None


def _fetched() -> Path:
    """The kernel's package and busybox, unpacked."""
    root = lab_cache() / "kernels" / "arm64"
    if not root.is_dir():
        suite = DebianSuite(
            _SUITE, "arm64", root=lab_cache() / "apt" / f"{_SUITE}-arm64", security=False
        )
        suite.refresh()
        wanted = suite.resolve(
            "linux-image-cloud-arm64",
            "busybox-static",
            keep=lambda package: package.section == "kernel",
        )
        unpack(suite, wanted, root)
    return root


def _initramfs(root: Path, release: str, nonce: str) -> bytes:
    modules = root / "usr/lib/modules" / release
    driver = next(modules.rglob("qemu_fw_cfg.ko.xz"), None)
    if driver is None:
        raise LabError("has no qemu_fw_cfg.ko.xz", thing=release, slug="no-module")
    archive = io.BytesIO()
    with CpioWriter(archive) as cpio:
        cpio.node("dev/console", 5, 1)
        cpio.file("bin/busybox", (root / "usr/bin/busybox").read_bytes(), 0o755)
        cpio.symlink("bin/sh", "busybox")
        cpio.file("qemu_fw_cfg.ko", lzma.decompress(driver.read_bytes()))
        cpio.file("init", _INIT.format(nonce=nonce).encode(), 0o755)
    return archive.getvalue()


def _make(root: Path, release: str, nonce: str, draft: Path) -> None:
    for tool in (QEMU, "setpriv"):
        if shutil.which(tool) is None:
            raise MissingToolError("is not installed", thing=tool, hint="install qemu-system-arm")
    (draft / "initrd").write_bytes(_initramfs(root, release, nonce))
    console = draft / "console.log"
    with socket.socket(socket.AF_UNIX) as listener, (draft / "qemu.log").open("wb") as words:
        listener.bind(str(draft / "qmp"))
        listener.listen(1)
        limits = Limits().patient()
        listener.settimeout(limits.boot)
        qemu = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", QEMU, "-nodefaults", "-no-user-config"),
                *("-display", "none", "-no-reboot", "-accel", "tcg,thread=multi"),
                *("-machine", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "256"),
                *("-kernel", str(root / "boot" / f"vmlinuz-{release}")),
                *("-initrd", str(draft / "initrd"), "-append", "console=ttyAMA0"),
                *("-device", "vmcoreinfo", "-serial", f"file:{console}"),
                *("-chardev", f"socket,id=qmp,path={draft / 'qmp'}"),
                *("-mon", "chardev=qmp,mode=control"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
        try:
            connection, _ = listener.accept()
            with QmpClient(connection, timeout=limits.save) as qmp:
                _wait_until_dead(qemu, console, limits.boot)
                qmp.execute("dump-guest-memory", paging=False, protocol=f"file:{draft / 'vmcore'}")
        finally:
            qemu.kill()
            qemu.wait()
    for name in ("initrd", "qmp", "qemu.log"):
        (draft / name).unlink()


def _wait_until_dead(qemu: subprocess.Popen[bytes], console: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        text = console.read_text(errors="replace") if console.exists() else ""
        if _DEAD in text:
            return
        if qemu.poll() is not None or time.monotonic() > deadline:
            raise GuestLostError(
                "did not panic", thing="arm64 guest", hint=console_tail(text.splitlines())
            )
        time.sleep(0.5)
