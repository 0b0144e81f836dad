"""The rungs of the ladder below DWARF: the dump's own tables, a kit's, names alone, nothing."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

from drgn import Program

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.report import SymbolSource
from kautopsy.symbols.btf.find import read_btf
from kautopsy.symbols.btf.parse import Btf, BtfError
from kautopsy.symbols.cache import TableCache, default_cache
from kautopsy.symbols.engine import attach, prove, read_symbols
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError, vmcoreinfo_symbol
from kautopsy.symbols.kit import KitError, OpenKit, find

NO_LINES = (
    "no source lines, inlined functions or local variables: they take the vmlinux of this very "
    "build, and kautopsy symbols find tells where it is to be had"
)
"""What is said where all else went well."""


def climb(
    program: Program, info: VmcoreInfo, notes: list[str], *, near: Path | None = None
) -> SymbolSource:
    """Attach the best of what is there to ``program``; ``notes`` hears why it is no better.

    :param near: the dump: a kit may lie beside it
    """
    with _no_collector():
        return _climb(program, info, notes, near)


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Hundreds of thousands of objects are made to stay: looking for garbage only takes time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _climb(program: Program, info: VmcoreInfo, notes: list[str], near: Path | None) -> SymbolSource:
    cache = default_cache()
    symbols = _own_symbols(program, info, notes, cache)
    btf = _own_btf(program, info, symbols, notes, cache) if symbols is not None else None
    source = SymbolSource.BTF if btf is not None else SymbolSource.KALLSYMS
    doubtful = symbols is not None and btf is not None and _names_differ(symbols, btf, notes, cache)
    kit = find(info, near)
    lines: dict[str, bytes] = {}
    if kit is not None:
        try:
            if symbols is None or btf is None or doubtful:
                symbols, btf = _from_kit(program, info, kit, None if doubtful else symbols)
                source = SymbolSource.KIT
                notes.append(f"names and types come from the kit {kit.path}")
            lines = kit.lines()
            if lines:
                notes.append(f"source lines come from the kit {kit.path}; inline frames are lost")
        except (KitError, BtfError) as error:
            notes.append(f"the kit {kit.path} was not used: {error.what}")
    if symbols is None:
        notes.append("no names at all: a kit or debuginfo of this kernel would help")
        return SymbolSource.NONE
    attach(program, info, symbols, btf, lines)
    if btf is None:
        notes.append(
            "no types: backtraces are raw stacks, unreliable, and most of the dump cannot be "
            "read; a kit or debuginfo of this kernel would help"
        )
    elif not lines:
        notes.append(NO_LINES)
    return source


def _own_symbols(
    program: Program, info: VmcoreInfo, notes: list[str], cache: TableCache
) -> KernelSymbols | None:
    try:
        return KernelSymbols(read_symbols(program, info, cache))
    except KallsymsError as error:
        notes.append(f"the dump's own symbol table was not used: {error.what}")
        return None


def _own_btf(
    program: Program,
    info: VmcoreInfo,
    symbols: KernelSymbols,
    notes: list[str],
    cache: TableCache,
) -> Btf | None:
    try:
        btf = read_btf(program.read, symbols, vmcoreinfo_symbol(info, "_stext"), cache)
        prove(program, info, symbols, btf)
    except BtfError as error:
        notes.append(f"the dump's own BTF was not used: {error.what}")
        return None
    return btf


def _names_differ(symbols: KernelSymbols, btf: Btf, notes: list[str], cache: TableCache) -> bool:
    """BTF has every function's name a second time: damage to either shows as a difference."""
    key = cache.key("agree", symbols.key.encode(), btf.key.encode())
    if cache.get(key) is not None:
        return False
    lacking = sorted(symbols.lacking(btf.functions()))
    if not lacking:
        cache.put(key, True)
    else:
        notes.append(
            f"names may be damaged: {len(lacking)} functions of the BTF, as {lacking[0]}, are not "
            "in the symbol table"
        )
    return bool(lacking)


def _from_kit(
    program: Program, info: VmcoreInfo, kit: OpenKit, symbols: KernelSymbols | None
) -> tuple[KernelSymbols, Btf]:
    """What the dump lacks; its own symbols stay where they are good."""
    if symbols is None:
        symbols = KernelSymbols(kit.symbols(vmcoreinfo_symbol(info, "_stext")))
    btf = kit.btf()
    prove(program, info, symbols, btf)
    return symbols, btf
