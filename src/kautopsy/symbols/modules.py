"""Symbols and types of loaded modules, out of their own memory, each when it is first needed."""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import drgn
from drgn import Object, Program, Symbol, SymbolBinding, SymbolKind
from drgn.helpers.linux.bpf import bpf_btf_for_each
from drgn.helpers.linux.module import for_each_module, module_address_regions

from kautopsy.symbols.btf.parse import BtfError, parse
from kautopsy.symbols.btf.types import BtfTypes

_MAX_SYMBOLS = 1_000_000
_MAX_NAME = 512
_MAX_STRINGS = 64 << 20
MAX_MODULES = 4096
"""A bound for damaged lists."""

_MAX_BTF = 64 << 20
_BINDINGS = {0: SymbolBinding.LOCAL, 1: SymbolBinding.GLOBAL, 2: SymbolBinding.WEAK}
_KINDS = {0: SymbolKind.UNKNOWN, 1: SymbolKind.OBJECT, 2: SymbolKind.FUNC}


@dataclass(frozen=True)
class _Entry:
    address: int
    name: str
    info: int


class ModuleSymbols:
    """The symbols of one ``struct module *``."""

    def __init__(self, module: Object, regions: list[tuple[int, int]]) -> None:
        self.module = module
        self.regions = regions

    @cached_property
    def _table(self) -> _Table | None:
        """None where the module's memory is not in the dump."""
        try:
            return _Table.of(self.module)
        except (drgn.FaultError, LookupError, ValueError, OverflowError):
            return None

    @cached_property
    def _entries(self) -> list[_Entry]:
        """Sorted by address."""
        entries = self._table.entries() if self._table is not None else ()
        return sorted(entries, key=lambda entry: entry.address)

    @cached_property
    def _addresses(self) -> list[int]:
        return [entry.address for entry in self._entries]

    def at(self, address: int) -> Symbol | None:
        """The symbol that contains ``address``, as the kernel's messages name it."""
        i = bisect_right(self._addresses, address) - 1
        if i < 0:
            return None
        start, end = next(((s, e) for s, e in self.regions if s <= address < e), (0, 0))
        if self._addresses[i] < start:
            return None
        while i > 0 and self._addresses[i - 1] == self._addresses[i]:
            i -= 1
        return self._symbol(i, end)

    def named(self, name: str) -> list[Symbol]:
        """The symbols of that name."""
        # Most names that are asked for are nowhere: that is told without decoding the table.
        if self._table is None or not self._table.mentions(name):
            return []
        return [self._symbol(i) for i in self._by_name.get(name, ())]

    def all(self) -> list[Symbol]:
        """Every symbol."""
        return [self._symbol(i) for i in range(len(self._entries))]

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, entry in enumerate(self._entries):
            found.setdefault(entry.name, []).append(i)
        return found

    def _symbol(self, i: int, end: int | None = None) -> Symbol:
        entry = self._entries[i]
        if end is None:
            end = next((e for s, e in self.regions if s <= entry.address < e), entry.address)
        j = bisect_right(self._addresses, entry.address)
        if j < len(self._addresses):
            end = min(end, self._addresses[j])
        return Symbol(
            entry.name,
            entry.address,
            max(end - entry.address, 0),
            _BINDINGS.get(entry.info >> 4, SymbolBinding.UNKNOWN),
            _KINDS.get(entry.info & 0xF, SymbolKind.UNKNOWN),
        )


@dataclass(frozen=True)
class _Table:
    """``struct mod_kallsyms`` (since 4.5, 8244062ef1e5): an ELF symbol table and its strings.

    :param symbols: ``Elf_Sym[]``
    :param layout: of one
    """

    symbols: bytes
    strings: bytes
    layout: struct.Struct

    @classmethod
    def of(cls, module: Object) -> _Table | None:
        program = module.prog_
        kallsyms = module.kallsyms.read_()
        count = kallsyms.num_symtab.value_()
        if not 0 < count <= _MAX_SYMBOLS:
            return None
        assert program.platform is not None
        flags = program.platform.flags
        little = bool(flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN)
        wide = bool(flags & drgn.PlatformFlags.IS_64_BIT)
        layout = struct.Struct(("<" if little else ">") + ("IBBHQQ" if wide else "IIIBBH"))
        symbols = program.read(kallsyms.symtab.value_(), count * layout.size)
        names = array("I", symbols)[:: layout.size // 4]
        if little != (sys.byteorder == "little"):
            names.byteswap()
        start, last = kallsyms.strtab.value_(), max(names)
        if last > _MAX_STRINGS:
            return None  # damaged
        end = program.read_c_string(start + last, max_size=_MAX_NAME)
        return cls(symbols, program.read(start, last) + end + b"\0", layout)

    def mentions(self, name: str) -> bool:
        """Whether a string ends so; linkers keep one string for ``b`` and ``ab``."""
        return name.encode("ascii", "replace") + b"\0" in self.strings

    def entries(self) -> Iterator[_Entry]:
        """All symbols that name something, in the table's order."""
        text = self.strings
        wide = self.layout.size == 24
        for fields in self.layout.iter_unpack(self.symbols):
            name, info, section = (
                (fields[0], fields[1], fields[3]) if wide else (fields[0], fields[3], fields[5])
            )
            address = fields[4] if wide else fields[1]
            # Undefined ones are other modules'; mapping symbols ($x, .L) name no code.
            if name and section and address:
                decoded = text[name : text.index(b"\0", name)].decode("ascii", "replace")
                if decoded and not decoded.startswith(("$", ".L")):
                    yield _Entry(address, decoded, info)


class LoadedModules:
    """All loaded modules: their symbols, and where they have BTF their types.

    :param kernel: the kernel's types, or None where they come from DWARF
    """

    def __init__(self, program: Program, kernel: BtfTypes | None) -> None:
        self.program = program
        self._kernel = kernel
        self._blobs: list[_ModuleBtf] | None = None
        self._listing = False

    @cached_property
    def modules(self) -> list[ModuleSymbols]:
        """One for each entry of the kernel's list; as many as can be reached."""
        found = []
        with self._while_listing():
            for module in islice(for_each_module(self.program), MAX_MODULES):
                regions = [(start, start + size) for start, size in module_address_regions(module)]
                found.append(ModuleSymbols(module, regions))
        return found

    @contextmanager
    def _while_listing(self) -> Iterator[None]:
        """Walking the kernel's lists asks for names, which modules must not be asked for then."""
        self._listing = True
        try:
            with suppress(drgn.FaultError, LookupError, ValueError):
                yield
        finally:
            self._listing = False

    @property
    def ready(self) -> bool:
        """Whether modules can be asked: not while their list is being walked."""
        return not self._listing

    @cached_property
    def _ranges(self) -> list[tuple[int, int, ModuleSymbols]]:
        return sorted(
            ((start, end, module) for module in self.modules for start, end in module.regions),
            key=lambda found: found[0],
        )

    def find_symbols(
        self, program: Program, name: str | None, address: int | None, one: bool
    ) -> list[Symbol]:
        """drgn's symbol finder."""
        if self._listing:
            return []
        if address is not None:
            symbol = self._at(address)
            return [symbol] if symbol is not None and name in (None, symbol.name) else []
        found: list[Symbol] = []
        for module in self.modules:
            found += module.named(name) if name is not None else module.all()
        return found[:1] if one else found

    def _at(self, address: int) -> Symbol | None:
        i = bisect_right(self._ranges, address, key=lambda found: found[0]) - 1
        if i < 0 or address >= self._ranges[i][1]:
            return None
        return self._ranges[i][2].at(address)

    def types_with(self, name: str) -> Iterator[BtfTypes]:
        """The types of the modules whose BTF has a string ``name`` (since 5.11, 36e68442d1af)."""
        if self._kernel is None or self._listing:
            return
        if self._blobs is None:
            self._blobs = []
            with self._while_listing():
                for btf in islice(bpf_btf_for_each(self.program), MAX_MODULES):
                    if btf.kernel_btf and btf.name.string_() != b"vmlinux":
                        self._blobs.append(_ModuleBtf(btf, self._kernel))
        encoded = b"\0" + name.encode("ascii", "replace") + b"\0"
        for blob in self._blobs:
            # Most names that are asked for are nowhere: that is told without parsing.
            if encoded in blob.data and blob.types is not None:
                yield blob.types


class _ModuleBtf:
    """A ``struct btf *`` of a module."""

    def __init__(self, btf: Object, kernel: BtfTypes) -> None:
        self._btf = btf
        self._kernel = kernel

    @cached_property
    def data(self) -> bytes:
        """The blob, or nothing where it is not whole in the dump."""
        try:
            size = self._btf.data_size.value_()
            return self._btf.prog_.read(self._btf.data.value_(), size) if size < _MAX_BTF else b""
        except (drgn.FaultError, LookupError):
            return b""

    @cached_property
    def types(self) -> BtfTypes | None:
        """None where the blob is damaged."""
        try:
            return BtfTypes(self._btf.prog_, parse(self.data, self._kernel.btf), self._kernel)
        except BtfError:
            return None
