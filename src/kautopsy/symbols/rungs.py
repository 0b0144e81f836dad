"""The rungs of the ladder below DWARF: the dump's own tables, a kit's, names alone, nothing."""

from __future__ import annotations

from pathlib import Path

from drgn import Program

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.report import SymbolSource
from kautopsy.symbols.btf.find import read_btf
from kautopsy.symbols.btf.parse import Btf, BtfError
from kautopsy.symbols.engine import attach, prove, read_symbols
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError, vmcoreinfo_symbol


def climb(
    program: Program, info: VmcoreInfo, notes: list[str], *, near: Path | None = None
) -> SymbolSource:
    """Attach the best of what is there to ``program``; ``notes`` hears why it is no better.

    :param near: the dump: a kit may lie beside it
    """
    symbols = btf = None
    try:
        symbols = KernelSymbols(read_symbols(program, info))
    except KallsymsError as error:
        notes.append(f"the dump's own symbol table was not used: {error.what}")
    if symbols is not None:
        try:
            btf = _believable(program, info, symbols)
        except BtfError as error:
            notes.append(f"the dump's own BTF was not used: {error.what}")
    if symbols is not None and btf is not None:
        attach(program, info, symbols, btf)
        return SymbolSource.BTF
    if symbols is not None:
        attach(program, info, symbols, None)
        notes.append(
            "no types: backtraces are raw stacks symbolised by guess, and most of the dump "
            "cannot be read; a kit or debuginfo of this kernel would help"
        )
        return SymbolSource.KALLSYMS
    notes.append("no names at all: a kit or debuginfo of this kernel would help")
    return SymbolSource.NONE


def _believable(program: Program, info: VmcoreInfo, symbols: KernelSymbols) -> Btf:
    btf = read_btf(program.read, symbols, vmcoreinfo_symbol(info, "_stext"))
    prove(program, info, symbols, btf)
    return btf
