"""Build the two initramfs of a guest: the machine's own, and its capture kernel's inside it."""

from __future__ import annotations

import importlib.resources
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kautopsy.lab.cpio import CpioWriter
from kautopsy.lab.modules import ModuleTree, module_name
from kautopsy.lab.tools import Tools

VMLINUZ = "boot/vmlinuz"
CAPTURE = "boot/capture.img"
_SINK_MODULES = ("virtio_pci", "virtio_blk")


@dataclass(frozen=True)
class Contents:
    """What goes into a guest beside the tools.

    :param modules: loaded at boot, with what they need
    :param files: path in the guest → contents, or a file on the host (its mode is kept)
    :param makedumpfile: its arguments before the two file names
    :param prelude: shell text that the capture kernel's first process runs before anything else
    :param capture: False leaves the capture kernel's image out
    """

    modules: tuple[str, ...]
    makedumpfile: tuple[str, ...]
    hostname: str = "kautopsy-lab"
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    prelude: str = ""
    capture: bool = True


def build(tools: Tools, modules: ModuleTree, vmlinuz: Path, contents: Contents) -> bytes:
    """The initramfs of the machine, a cpio archive."""
    archive = io.BytesIO()
    with CpioWriter(archive) as cpio:
        _base(cpio, tools, tools.kexec, "init.sh")
        _modules(cpio, modules, (*_SINK_MODULES, *contents.modules))
        cpio.file("etc/hostname", contents.hostname.encode())
        cpio.file(VMLINUZ, vmlinuz.read_bytes())
        if contents.capture:
            cpio.file(CAPTURE, build_capture(tools, modules, contents))
        for path, source in contents.files.items():
            if isinstance(source, bytes):
                cpio.file(path, source, 0o755)
            else:
                cpio.file(path, source.read_bytes(), source.stat().st_mode & 0o777)
    return archive.getvalue()


def build_capture(tools: Tools, modules: ModuleTree, contents: Contents) -> bytes:
    """The initramfs of the capture kernel: as little as saves a dump."""
    archive = io.BytesIO()
    with CpioWriter(archive) as cpio:
        _base(cpio, tools, tools.makedumpfile, "capture.sh")
        _modules(cpio, modules, _SINK_MODULES)
        cpio.file("etc/makedumpfile", " ".join(contents.makedumpfile).encode())
        if contents.prelude:
            cpio.file("etc/prelude", contents.prelude.encode())
    return archive.getvalue()


def _base(cpio: CpioWriter, tools: Tools, program: Path, init: str) -> None:
    # Without a console node the kernel cannot give the first process its three descriptors.
    cpio.node("dev/console", 5, 1)
    cpio.file("bin/busybox", tools.busybox.read_bytes(), 0o755)
    cpio.symlink("bin/sh", "busybox")
    for path, source in tools.with_libraries(program).items():
        cpio.file(path, source.read_bytes(), 0o755)
    script = importlib.resources.files("kautopsy.lab.inside").joinpath(init).read_bytes()
    cpio.file("init", script, 0o755)


def _modules(cpio: CpioWriter, modules: ModuleTree, names: tuple[str, ...]) -> None:
    ordered = modules.order(names)
    for path in ordered:
        cpio.file(f"lib/modules/{module_name(path)}.ko", modules.read_module(path))
    cpio.file("etc/modules", "".join(f"{module_name(path)}.ko\n" for path in ordered).encode())
