"""What a rehearsal takes from the machine: kernel, initrd, command line, and where it saves."""

from __future__ import annotations

import contextlib
import importlib.resources
import re
from dataclasses import dataclass
from pathlib import Path

from kautopsy.arming.distribution import family_of
from kautopsy.host.host import Host
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.model.host import HostFacts, TargetKind

_USERLAND_SECONDS = 900.0
# The bus of the rehearsal's disk: the first whose driver the initrd has, and QEMU's devices for it.
_BUSES = (
    (("virtio_blk",), ("virtio-blk-pci,drive=target",)),
    (("nvme",), ("nvme,drive=target,serial=rehearsal",)),
    (("virtio_scsi", "sd_mod"), ("virtio-scsi-pci", "scsi-hd,drive=target")),
    (("ahci", "sd_mod"), ("ich9-ahci,id=ahci", "ide-hd,drive=target,bus=ahci.0")),
    (("megaraid_sas", "sd_mod"), ("megasas", "scsi-hd,drive=target")),
    (("mptsas", "sd_mod"), ("mptsas1068", "scsi-hd,drive=target")),
    (("vmw_pvscsi", "sd_mod"), ("pvscsi", "scsi-hd,drive=target")),
)


class NothingToRehearseError(KautopsyError):
    """The machine lacks what a rehearsal starts."""

    slug = "nothing-to-rehearse"


@dataclass(frozen=True)
class Baggage:
    """All in one folder.

    :param release: of the capture kernel
    :param cmdline: of the capture kernel, without a ``root=``
    :param devices: QEMU's, for the disk to save to; empty where the initrd drives none of them
    :param userland: a tar of what runs after the initrd; None where the initrd saves by itself
    :param saves_to: directory of the dumps on the disk
    :param target: UUID of the file system that the initrd looks for; empty: any will do
    :param why_not_saved: why saving cannot be rehearsed; empty if it can
    """

    release: str
    kernel: Path
    initrd: Path
    cmdline: str
    devices: tuple[str, ...]
    userland: Path | None
    saves_to: str
    target: str
    why_not_saved: str


def pack(host: Host, facts: HostFacts, folder: Path) -> Baggage:
    """Fetch all of it into ``folder``.

    :raises NothingToRehearseError: there is no capture initrd, or no kernel for it
    :raises UnreachableError: the machine does not answer
    """
    if facts.image.initrd is None:
        raise NothingToRehearseError(
            "has no capture initrd",
            thing=host.name,
            hint=family_of(facts.os).rebuild(facts),
        )
    if facts.machine not in ("", "x86_64"):
        raise NothingToRehearseError(
            f"is {facts.machine}, and the lab's guests are x86_64", thing=host.name
        )
    initrd = _pull(host, facts.image.initrd.path, folder / "initrd")
    kernel, release = _kernel(host, facts, folder)
    debian = "/kdump-tools" in facts.settings.source
    why, target = _why_not_saved(host, facts, after_initrd=debian)
    devices = _devices(host, facts, release)
    if not devices:
        why = why or "QEMU has no disk that the capture initrd drives"
    userland = None
    if debian and not why:
        userland = _userland(host, folder / "userland.tar.gz")
    return Baggage(
        release=release,
        kernel=kernel,
        initrd=initrd,
        cmdline=_cmdline(facts),
        devices=devices,
        userland=userland,
        saves_to=_below(facts.target.path, "/" if debian else facts.target.mounted_on),
        target=target,
        why_not_saved=why,
    )


def _pull(host: Host, path: str, final: Path) -> Path:
    with final.open("wb") as file:
        for piece in host.pull(path):
            file.write(piece)
    return final


def _kernel(host: Host, facts: HostFacts, folder: Path) -> tuple[Path, str]:
    """The kernel that belongs to the initrd: beside it, or named by the release in its name."""
    assert facts.image.initrd is not None
    path = facts.image.initrd.path
    release = facts.release
    if match := re.search(r"initr(?:d\.img|d|amfs)-(.+?)(?:-?kdump)?(?:\.img)?$", path):
        release = match[1]
    beside = path.rpartition("/")[0]
    final = folder / "vmlinuz"
    for name in (
        f"{beside}/vmlinuz" if path.endswith("/initrd.img") else "",
        f"{beside}/kernel" if path.endswith("/initrd") else "",
        f"/boot/vmlinuz-{release}",
        f"/usr/lib/modules/{release}/vmlinuz",
        f"/lib/modules/{release}/vmlinuz",
    ):
        if not name:
            continue
        try:
            return _pull(host, name, final), release
        except UnreadableError:
            continue
    raise NothingToRehearseError(f"has no kernel {release} for {path}", thing=host.name)


def _cmdline(facts: HostFacts) -> str:
    """As the distribution's kdump makes it of the running kernel's."""
    settings = facts.settings
    base = settings.base.split() if settings.base else list(facts.cmdline or ())
    removed = {*settings.removed, "crashkernel", "root", "BOOT_IMAGE", "initrd"}
    kept = [word for word in base if word.split("=", 1)[0] not in removed]
    words = [*kept, *settings.append]
    if not settings.append and not settings.base:
        words += ["nr_cpus=1", "irqpoll", "reset_devices"]
    return " ".join(words)


def _devices(host: Host, facts: HostFacts, release: str) -> tuple[str, ...]:
    """The disk that the initrd drives, by a module in it or by what the kernel has built in."""
    modules = facts.image.modules
    if modules is None:
        # Nobody could list it: a wrong guess shows itself on the console.
        return _BUSES[0][1]
    driven = set(modules)
    with contextlib.suppress(UnreadableError):
        text = host.read(f"/lib/modules/{release}/modules.builtin").decode(errors="replace")
        driven |= {
            line.rpartition("/")[2].partition(".ko")[0].replace("-", "_")
            for line in text.splitlines()
        }
    for needed, devices in _BUSES:
        if driven.issuperset(needed):
            return devices
    return ()


def _why_not_saved(host: Host, facts: HostFacts, *, after_initrd: bool) -> tuple[str, str]:
    """Why the target has no stand-in here, and the UUID that its stand-in needs."""
    target = facts.target
    if target.kind is not TargetKind.LOCAL:
        return f"dumps go to {target.kind} {target.server or target.device}", ""
    if target.filesystem not in ("", "ext4", "ext3", "ext2"):
        return f"the target is {target.filesystem}, and the stand-in can only be ext4", ""
    if after_initrd:
        return "", ""
    if not facts.live:
        return "only the running system knows the target's device", ""
    if target.encrypted:
        return "the target is encrypted", ""
    if "/mapper/" in target.device or "/md" in target.device:
        return f"the target {target.device} is a stack of devices", ""
    done = host.run(["blkid", "-s", "UUID", "-o", "value", target.device])
    uuid = done.text.strip()
    return ("", uuid) if uuid else (f"{target.device} has no UUID", "")


def _below(path: str, mounted: str) -> str:
    """``path`` as seen from the file system's own root."""
    inside = path.removeprefix(mounted.rstrip("/")) if mounted != "/" else path
    return f"/{inside.strip('/')}"


def _userland(host: Host, final: Path) -> Path:
    script = importlib.resources.files("kautopsy.drill.rehearsal").joinpath("userland.sh")
    done = host.script(script.read_text(), timeout=_USERLAND_SECONDS)
    # tar's 1 is a file that changed while it was read.
    if done.status > 1 or not done.stdout.startswith(b"\x1f\x8b"):
        raise UnreadableError(
            f"its programs cannot be packed: {done.complaint}", thing=host.name, slug="no-userland"
        )
    final.write_bytes(done.stdout)
    return final
