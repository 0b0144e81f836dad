"""A dump with the best names, types and lines to be had: dwarf, btf, kit, kallsyms or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import drgn

from kautopsy.dump.open import BareDump, open_dump
from kautopsy.model.dump import DumpFile
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.symbols.dwarf import local_dwarf, use_vmlinux
from kautopsy.symbols.engine import attach_modules
from kautopsy.symbols.rungs import climb


@dataclass(frozen=True)
class OpenedDump:
    """An open dump with symbols: what can be asked of ``program`` depends on ``symbols.source``."""

    program: drgn.Program
    symbols: Symbols
    dump: DumpFile


def open_program(path: Path, *, vmlinux: Path | None = None, debuginfo: bool = True) -> OpenedDump:
    """Open the dump at ``path`` on the highest rung of the ladder that holds.

    :param vmlinux: of exactly this kernel, with DWARF; another one's is refused
    :param debuginfo: where no ``vmlinux`` is given, use one found on this machine
    :raises UnreadableError: no dump (see :func:`~kautopsy.dump.open.open_dump`), or another
        kernel's ``vmlinux`` (slug ``wrong-vmlinux``)
    """
    bare = open_dump(path)
    notes: list[str] = []
    if vmlinux is None and debuginfo:
        vmlinux = local_dwarf(bare, path, notes)
    if vmlinux is not None:
        use_vmlinux(bare, vmlinux)
        attach_modules(bare.program)
        return _opened(bare, SymbolSource.DWARF, notes, vmlinux)
    return _opened(bare, climb(bare.program, bare.vmcoreinfo, notes, near=path), notes)


def _opened(
    bare: BareDump, source: SymbolSource, notes: list[str], vmlinux: Path | None = None
) -> OpenedDump:
    return OpenedDump(
        bare.program,
        Symbols(source=source, vmlinux=str(vmlinux) if vmlinux else None, notes=tuple(notes)),
        bare.file,
    )
