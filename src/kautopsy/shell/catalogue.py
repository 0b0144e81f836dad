"""The names of all types and symbols: what can be completed, and searched for.

drgn finds a type by its name but lists none; the kernel's BTF, in the dump's own memory, does.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import CommandError
from kautopsy.symbols.btf.parse import Btf, BtfError, Kind, parse

_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Catalogue:
    """Sorted names.

    :param types: structures, unions, enumerations, typedefs
    :param plain: typedefs, and the types that C has by itself
    :param aggregates: structures and unions: name → size in bytes
    """

    types: tuple[str, ...]
    aggregates: dict[str, int]
    plain: tuple[str, ...]

    def starting(self, prefix: str) -> list[str]:
        """The types whose names begin with ``prefix``."""
        return between(self.types, prefix)


def between(names: tuple[str, ...], prefix: str) -> list[str]:
    """Those of the sorted ``names`` that begin with ``prefix``."""
    low = bisect.bisect_left(names, prefix)
    high = bisect.bisect_left(names, prefix + "\U0010ffff")
    return list(names[low:high])


def catalogue(program: Program) -> Catalogue:
    """The kernel's types by name.

    :raises CommandError: the kernel has no BTF, or the dump lacks it
    """
    found = program.cache.get("kautopsy_catalogue")
    if not isinstance(found, Catalogue):
        found = _read(kernel_btf(program))
        program.cache["kautopsy_catalogue"] = found
    return found


def kernel_btf(program: Program) -> Btf:
    """The kernel's own BTF.

    :raises CommandError: the kernel has none, or the dump lacks it
    """
    try:
        start, stop = (program.symbol(name).address for name in ("__start_BTF", "__stop_BTF"))
        if not 0 < stop - start <= _MOST_BYTES:
            raise BtfError("it is empty")
        return parse(program.read(start, stop - start))
    except (BtfError, *READ_ERRORS) as error:
        raise CommandError(
            "the types cannot be listed: the dump has no BTF of the kernel",
            hint="a type that you name is still found",
        ) from error


def _read(btf: Btf) -> Catalogue:
    names: set[str] = set()
    aggregates: dict[str, int] = {}
    plain: set[str] = set()
    words = btf.words
    for at in btf.places:
        kind = words[at + 1] >> 24 & 0x1F
        if kind in (Kind.STRUCT, Kind.UNION, Kind.TYPEDEF, Kind.ENUM) and words[at]:
            name = btf.string(words[at])
            names.add(name)
            if kind in (Kind.STRUCT, Kind.UNION):
                aggregates.setdefault(name, words[at + 2])
        if kind in (Kind.TYPEDEF, Kind.INT) and words[at]:
            name = btf.string(words[at])
            # btf_trace_…, btf_bpf_…: made for BPF programs, no type of the kernel's own code.
            if not name.startswith("btf_"):
                plain.add(name)
    return Catalogue(tuple(sorted(names)), aggregates, tuple(sorted(plain)))


def symbol_names(program: Program) -> tuple[str, ...]:
    """The names of all symbols, sorted."""
    found = program.cache.get("kautopsy_symbol_names")
    if not isinstance(found, tuple):
        try:
            found = tuple(sorted({symbol.name for symbol in program.symbols()}))
        except READ_ERRORS:
            found = ()
        program.cache["kautopsy_symbol_names"] = found
    return tuple(found)
