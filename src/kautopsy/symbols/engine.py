"""The engine that makes a dump explain itself: drgn finders over kallsyms, BTF and ORC.

The names come from the kernel's own symbol table, the types from its BTF, and libdrgn unwinds with
the ORC tables in the dump's memory once it knows the symbols that mark them and where the kernel
lies.
"""

from __future__ import annotations

import contextlib
from itertools import islice

import drgn
from drgn import FindObjectFlags, Object, Program, Type, TypeKindSet

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.symbols.btf.parse import Btf, BtfError, Kind
from kautopsy.symbols.btf.types import BtfTypes
from kautopsy.symbols.cache import TableCache
from kautopsy.symbols.globals import declared_type, version
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import Kallsyms, KallsymsError, Tables, load, vmcoreinfo_symbol
from kautopsy.symbols.minimal import MinimalTypes
from kautopsy.symbols.modules import MAX_MODULES, LoadedModules
from kautopsy.symbols.panic_frame import find_rule, give

FINDER = "kautopsy"
"""The name of all our finders with drgn."""


def read_symbols(program: Program, info: VmcoreInfo, cache: TableCache | None = None) -> Kallsyms:
    """The symbol table out of the dump's memory.

    :param cache: where names may be that were decoded from the same bytes before
    :raises KallsymsError: it is not there, or damaged
    """
    stext = vmcoreinfo_symbol(info, "_stext")
    tables = Tables.of(info)
    if tables is None:
        from kautopsy.symbols.kallsyms_scan import find_tables

        if stext is None:
            raise KallsymsError("VMCOREINFO does not say where the kernel is")
        tables = find_tables(program.read, stext, big_endian=is_big_endian(program))
    return load(program.read, tables, stext=stext, big_endian=is_big_endian(program), cache=cache)


def is_big_endian(program: Program) -> bool:
    """Whether the dump is of a big-endian machine."""
    platform = program.platform
    return platform is not None and not platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN


class Names:
    """drgn's questions about types and objects, answered from BTF and kallsyms."""

    def __init__(
        self,
        program: Program,
        symbols: KernelSymbols,
        types: BtfTypes | None,
        modules: LoadedModules,
        release: str | None,
    ) -> None:
        self._program = program
        self._symbols = symbols
        self._types = types
        self._modules = modules
        self._release = version(release)
        self._found: dict[tuple[str, FindObjectFlags], Object | None] = {}
        self._found_types: dict[tuple[str, int], Type | None] = {}

    def find_type(
        self, program: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        """drgn's type finder. BTF knows no file names, so ``filename`` is not looked at."""
        # The hash of a set of kinds is its bits; comparing two sets takes far longer.
        key = (name, hash(kinds))
        if key in self._found_types:  # helpers ask for `struct task_struct` once a task
            return self._found_types[key]
        found = self._find_type(name, kinds)
        if self._modules.ready:
            self._found_types[key] = found
        return found

    def _find_type(self, name: str, kinds: TypeKindSet) -> Type | None:
        # Raising would break the helpers that ask whether a type exists: damage is absence.
        if self._types is not None:
            with contextlib.suppress(BtfError):
                found = self._types.find(name, kinds)
                if found is not None:
                    return found
        for types in self._modules.types_with(name):
            with contextlib.suppress(BtfError):
                found = types.find(name, kinds)
                if found is not None:
                    return found
        return None

    def find_object(
        self, program: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> Object | None:
        """drgn's object finder."""
        key = (name, flags)
        if key in self._found:
            return self._found[key]
        found: Object | None = None
        # As above: what cannot be made is absent.
        with contextlib.suppress(BtfError, LookupError, ValueError):
            found = self._find_object(name, flags)
        if self._modules.ready:
            self._found[key] = found
        return found

    def _find_object(self, name: str, flags: FindObjectFlags) -> Object | None:
        if self._types is None:
            return None
        if flags & FindObjectFlags.CONSTANT:
            constant = self._types.constant(name)
            if constant is not None:
                return constant
        for i in self._symbols.named(name)[:1]:
            address = self._symbols.symbol(i).address
            if self._symbols.is_function(i):
                if flags & FindObjectFlags.FUNCTION:
                    return Object(self._program, self._function(name), address=address)
            elif flags & FindObjectFlags.VARIABLE:
                type_ = self._variable(name, self._symbols.size(i))
                if type_ is not None:
                    return Object(self._program, type_, address=address)
        return self._find_in_modules(name, flags)

    def _function(self, name: str) -> Type:
        assert self._types is not None
        type_id = self._types.first(name, Kind.FUNC)
        if type_id is not None:
            return self._types.referred(type_id)
        # BTF lacks functions whose arguments gcc changed; their address is still of use.
        return self._program.function_type(self._program.void_type(), (), True)

    def _variable(self, name: str, room: int) -> Type | None:
        assert self._types is not None
        type_id = self._types.first(name, Kind.VAR)
        if type_id is not None:
            return self._types.referred(type_id)
        return declared_type(self._program, name, self._release, room)

    def _find_in_modules(self, name: str, flags: FindObjectFlags) -> Object | None:
        for types in self._modules.types_with(name):
            if flags & FindObjectFlags.CONSTANT and (constant := types.constant(name)) is not None:
                return constant
            for symbol in self._modules.find_symbols(self._program, name, None, True):
                function = symbol.kind == drgn.SymbolKind.FUNC
                wanted = FindObjectFlags.FUNCTION if function else FindObjectFlags.VARIABLE
                type_id = types.first(name, Kind.FUNC if function else Kind.VAR)
                if type_id is not None and flags & wanted:
                    return Object(self._program, types.referred(type_id), address=symbol.address)
        return None

    def find_symbols(
        self, program: Program, name: str | None, address: int | None, one: bool
    ) -> list[drgn.Symbol]:
        """drgn's symbol finder: the kernel first."""
        found = self._symbols.find_symbols(program, name, address, one)
        if found and (one or address is not None):
            return found
        found += self._modules.find_symbols(program, name, address, one)
        return found[:1] if one else found


def attach(
    program: Program,
    info: VmcoreInfo,
    symbols: KernelSymbols,
    btf: Btf | None,
    lines: dict[str, bytes] | None = None,
) -> None:
    """Make ``program`` answer from the kernel's own tables.

    :param btf: the kernel's types; without them there are only names and the kernel's own unwind
        tables
    :param lines: DWARF sections with source lines, out of a kit
    """
    types = BtfTypes(program, btf) if btf is not None else None
    modules = LoadedModules(program, types)
    names = Names(program, symbols, types, modules, info.release)
    program.register_symbol_finder(FINDER, names.find_symbols, enable_index=-1)
    if types is not None:
        program.register_type_finder(FINDER, names.find_type, enable_index=-1)
        program.register_object_finder(FINDER, names.find_object, enable_index=-1)
    else:
        minimal = MinimalTypes(program, info, symbols)
        program.register_type_finder(FINDER, minimal.find_type, enable_index=-1)
        program.register_object_finder(FINDER, minimal.find_object, enable_index=-1)
    main = main_module(program)
    start, end = symbols.address("_text"), symbols.address("_end")
    if start is not None and end is not None and start < end:
        # Where the kernel lies makes libdrgn look for ORC between __start_orc_unwind and so on.
        main.address_range = (start, end)
    if main.build_id is None and info.build_id:
        main.build_id = bytes.fromhex(info.build_id)
    if types is not None:
        # MemoryError: a damaged module's size, for which libdrgn asks at once.
        with contextlib.suppress(drgn.FaultError, LookupError, ValueError, MemoryError):
            for module, _new in islice(program.loaded_modules(), MAX_MODULES):
                if not isinstance(module, drgn.MainModule):
                    module.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
        rule = find_rule(program, symbols)
        if rule is not None or lines:
            give(main, rule, info.kaslr_offset or 0, lines or {})
    if main.wants_debug_file():
        main.debug_file_status = drgn.ModuleFileStatus.DONT_NEED


def attach_modules(program: Program) -> None:
    """Names in loaded modules, for a program that has the kernel's DWARF but not theirs."""
    modules = LoadedModules(program, None)
    program.register_symbol_finder(FINDER, modules.find_symbols, enable_index=-1)


def main_module(program: Program) -> drgn.MainModule:
    """The kernel proper among the program's modules, with what VMCOREINFO says of it."""
    # The first module the iterator makes; those after it need the types of ``struct module``.
    for module, _new in program.loaded_modules():
        if isinstance(module, drgn.MainModule):
            return module
    return program.main_module("kernel", create=True)


def prove(program: Program, info: VmcoreInfo, symbols: KernelSymbols, btf: Btf) -> None:
    """Ask a few things whose answers are known, before anything is believed.

    :raises BtfError: names and types do not fit this dump
    """
    types = BtfTypes(program, btf)
    try:
        task = _variable(program, symbols, types, "init_task", "task_struct")
        uts = _variable(program, symbols, types, "init_uts_ns", "uts_namespace")
        comm, pid = task.comm.string_(), task.pid.value_()
        release = uts.name.release.string_().decode("ascii", "replace")
        task_list = task.tasks.address_of_().value_()
        back = task.tasks.next.prev.value_()
    except (drgn.FaultError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise BtfError(f"the first task cannot be read with it: {error}") from error
    if not comm.startswith(b"swapper") or pid != 0 or back != task_list:
        raise BtfError("the first task makes no sense with it")
    if info.release is not None and release != info.release:
        raise BtfError("the kernel's release makes no sense with it")


def _variable(
    program: Program, symbols: KernelSymbols, types: BtfTypes, name: str, tag: str
) -> Object:
    address = symbols.address(name)
    type_id = types.first(tag, Kind.STRUCT)
    if address is None or type_id is None:
        raise LookupError(f"there is no {name}")
    return Object(program, types.type(type_id), address=address)
