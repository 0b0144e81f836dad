"""Loadable modules, and their symbols where no debuginfo brings them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import MainModule, Program, SymbolKind
from drgn.helpers.linux.kallsyms import load_module_kallsyms, module_kallsyms
from drgn.helpers.linux.module import for_each_module, module_address_regions, module_taints

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable


class Module(msgspec.Struct, frozen=True):
    """One loaded module."""

    name: Annotated[str, Column("module.name")]
    address: Annotated[int | Unreadable, Column("of its text", unit="address")]
    size: Annotated[int | Unreadable, Column("of all its regions", unit="bytes")]
    state: Annotated[str, Column("live, coming, going or unformed")]
    taints: Annotated[str | Unreadable, Column("letters: O out of tree, P proprietary, E unsigned")]


# enum module_state (include/linux/module.h)
_STATES = ("live", "coming", "going", "unformed")


@table
def modules(program: Program) -> Iterator[Module]:
    """Loaded modules, newest first."""
    for module in for_each_module(program):
        regions = readable(lambda module=module: module_address_regions(module))  # type: ignore[misc]
        state = readable(lambda module=module: int(module.state))  # type: ignore[misc]
        unreadable = regions if isinstance(regions, Unreadable) else None
        pairs = [] if isinstance(regions, Unreadable) else regions
        yield Module(
            name=text(module.name.string_()),
            address=unreadable or (pairs[0][0] if pairs else Unreadable("it has no regions")),
            size=unreadable or sum(size for _, size in pairs),
            state=_STATES[state] if isinstance(state, int) and state < len(_STATES) else "?",
            taints=readable(lambda module=module: module_taints(module)),  # type: ignore[misc]
        )


def see_modules(program: Program) -> None:
    """Make addresses in modules resolvable: names from each module's own symbol table.

    Debugging information for modules is rarely at hand even where vmlinux's is. libdrgn unwinds
    through modules by the ORC tables in memory as soon as it knows that the modules exist.
    """
    try:
        if all(isinstance(module, MainModule) for module in program.modules()):
            program.create_loaded_modules()
        if _are_seen(program):
            return
        symbols = load_module_kallsyms(program)
    except (*READ_ERRORS, MemoryError):  # a damaged module's size is asked for at once
        return
    program.register_symbol_finder("module-kallsyms", symbols, enable_index=-1)


def _are_seen(program: Program) -> bool:
    """Whether a function of the first module that has one can be found by its address."""
    for module in for_each_module(program):
        for symbol in module_kallsyms(module):
            if symbol.kind is SymbolKind.FUNC and symbol.size:
                try:
                    return bool(program.symbol(symbol.address).name)
                except LookupError:
                    return False
    return True
