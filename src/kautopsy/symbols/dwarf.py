"""The top rung: a vmlinux with DWARF, of exactly the kernel that died."""

from __future__ import annotations

from pathlib import Path

import drgn

from kautopsy.dump.open import BareDump
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.engine import main_module
from kautopsy.symbols.finder.elf import identify, kernel_release


def local_dwarf(bare: BareDump, path: Path, notes: list[str]) -> Path | None:
    """The vmlinux that lies on this machine; ``notes`` hears of ones of another build."""
    from kautopsy.symbols.finder.local import search_local

    info = bare.vmcoreinfo
    found = search_local(info.build_id, info.release, near=path)
    notes.extend(
        f"{wrong.path} was not used: its build-id is {wrong.build_id or 'missing'}, "
        f"the dump's is {info.build_id or 'unknown'}"
        for wrong in found.wrong
    )
    return found.path


def use_vmlinux(bare: BareDump, vmlinux: Path) -> None:
    """Load ``vmlinux`` into the dump's program.

    Before 5.9 VMCOREINFO has no build-id; then the release in the file's banner decides.

    :raises UnreadableError: not an ELF file with DWARF, or another kernel's
    """
    identity = identify(vmlinux)
    if identity is None:
        raise UnreadableError("is no readable ELF file", thing=str(vmlinux), slug="bad-vmlinux")
    info = bare.vmcoreinfo
    ours: str | None
    if info.build_id is not None:
        ours, theirs, what = info.build_id, identity.build_id, "build-id"
    else:
        ours, theirs, what = info.release, kernel_release(vmlinux), "release"
    if ours != theirs:
        raise UnreadableError(
            f"is another kernel's: its {what} is {theirs or 'missing'}, the dump's is {ours}",
            thing=str(vmlinux),
            slug="wrong-vmlinux",
            hint=f"find the right one: kautopsy symbols find {ours}",
        )
    if not identity.has_dwarf:
        raise UnreadableError(
            "has no DWARF debugging information", thing=str(vmlinux), slug="no-dwarf"
        )
    module = main_module(bare.program)
    try:
        module.try_file(vmlinux, force=True)
    except Exception as error:
        raise UnreadableError(
            f"drgn cannot read it: {error}", thing=str(vmlinux), slug="bad-vmlinux"
        ) from error
    if module.debug_file_status != drgn.ModuleFileStatus.HAVE:
        raise UnreadableError("drgn does not accept it", thing=str(vmlinux), slug="bad-vmlinux")
