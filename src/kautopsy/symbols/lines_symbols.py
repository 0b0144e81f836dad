"""A kernel's or module's symbols as kallsyms sees them: sizes are distances.

The kernel prints ``function+offset/size`` from kallsyms, which keeps no sizes: get_symbol_pos() in
kernel/kallsyms.c and find_kallsyms_symbol() in kernel/module/kallsyms.c take the distance to the
next symbol at a higher address, padding and unnamed alignment included. ``st_size`` of the ELF file
agrees with that for one function in seven, so it cannot tell namesakes apart.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import drgn

# Not in kallsyms: scripts/kallsyms.c (is_ignored_symbol) and, for modules, is_mapping_symbol().
_IGNORED = re.compile(r"\.L|L0\x01|\$|__crc_|__efistub_|__kvm_nvhe_|__pi_\$|\.LASANPC|__UNIQUE_ID_")
_NOT_SYMBOLS = {drgn.SymbolKind.SECTION, drgn.SymbolKind.FILE}


def of_elf(symbols: Iterable[drgn.Symbol]) -> Iterator[tuple[int, str]]:
    """Address and name of the symbols that name a place."""
    for symbol in symbols:
        if symbol.kind not in _NOT_SYMBOLS and symbol.name:
            yield symbol.address, symbol.name


@dataclass(frozen=True)
class Place:
    """A function at one address: ``size`` is kallsyms' (bytes to the next symbol)."""

    function: str
    address: int
    size: int


class KallsymsIndex:
    """Symbols of one image by name and by address.

    :param symbols: address and name of the image's, in any order
    :param start: its first address; absolute symbols and per-CPU offsets lie below
    :param ends: addresses where its areas of text end: the last function's size reaches there
    """

    def __init__(
        self, symbols: Iterable[tuple[int, str]], *, start: int, ends: Iterable[int]
    ) -> None:
        named = [(address, name) for address, name in symbols if not _IGNORED.match(name)]
        self._addresses = sorted({address for address, _ in named})
        self._start = start
        self._boundaries = sorted({*self._addresses, *ends})
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._at: dict[int, list[str]] = defaultdict(list)
        for address, name in named:
            self._by_name[name].append(address)
            self._at[address].append(name)
        self._by_stem: dict[str, list[int]] | None = None

    def named(self, function: str) -> list[Place]:
        """Every function of that name, lowest address first.

        Where there is none, those whose name differs by a compiler's suffix alone: kallsyms drops
        ``.llvm.HASH`` (cleanup_symbol_name(), 5.12 to 6.17) and what users type seldom has one.
        """
        addresses = self._by_name.get(function)
        if addresses is None:
            if self._by_stem is None:
                self._by_stem = defaultdict(list)
                for name, places in self._by_name.items():
                    if "." in name:
                        self._by_stem[name.partition(".")[0]].extend(places)
            addresses = self._by_stem.get(function, [])
        return [Place(function, a, self._size(a)) for a in sorted(set(addresses))]

    def at(self, address: int) -> Place | None:
        """The function that ``address`` lies in."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0 or address < self._start:
            return None
        start = self._addresses[index]
        size = self._size(start)
        if address >= start + size:
            return None
        # Of several names at one address kallsyms shows the first in the table it was built from;
        # that order is lost, so take the plainest.
        return Place(min(self._at[start], key=lambda name: (len(name), name)), start, size)

    def _size(self, address: int) -> int:
        index = bisect_right(self._boundaries, address)
        return self._boundaries[index] - address if index < len(self._boundaries) else 0
