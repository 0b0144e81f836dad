"""Symbols by name and by address: what kallsyms says, as a symbol finder of drgn's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile

from drgn import Program, Symbol, SymbolBinding, SymbolKind

from kautopsy.symbols.kallsyms import Kallsyms

_PER_CPU_END = 1 << 32
"""x86 links per-CPU variables at 0 until 6.15: such addresses are offsets, no pointer is one."""


class KernelSymbols:
    """The kernel's symbols, without its modules'.

    As the kernel does in its own messages, an address belongs to the first of the symbols at or
    before it, and reaches to the next symbol.
    """

    def __init__(self, kallsyms: Kallsyms) -> None:
        self._names = kallsyms.names
        self._kinds = kallsyms.kinds
        self._addresses = kallsyms.addresses
        self._order = kallsyms.order
        self.key = kallsyms.key

    def find_symbols(
        self, program: Program, name: str | None, address: int | None, one: bool
    ) -> list[Symbol]:
        """drgn's symbol finder."""
        if address is not None:
            i = self.at(address)
            if i is None:
                return []
            places: Sequence[int] = range(i, bisect_right(self._addresses, self._addresses[i]))
            if name is not None:
                places = [j for j in places if self._names[j] == name]
        elif name is not None:
            places = self.named(name)
        else:
            places = range(len(self._names))
        return [self.symbol(j) for j in (places[:1] if one else places)]

    def at(self, address: int) -> int | None:
        """The index of the first symbol that contains ``address``."""
        if address < _PER_CPU_END:
            return None
        addresses = self._addresses
        i = bisect_right(addresses, address)
        # The last symbol is `_end` or lies behind it: nothing of the kernel's begins there.
        if i == 0 or i == len(addresses) or addresses[i - 1] < _PER_CPU_END:
            return None
        return bisect_left(addresses, addresses[i - 1])

    def named(self, name: str) -> list[int]:
        """The indices of the symbols of that name, global ones first."""
        at = bisect_left(self._order, name, key=self._names.__getitem__)
        places = map(self._order.__getitem__, range(at, len(self._order)))
        same = takewhile(lambda i: self._names[i] == name, places)
        return sorted(same, key=lambda i: self._kinds[i].islower())

    def address(self, name: str) -> int | None:
        """The address of the symbol ``name``."""
        places = self.named(name)
        return self._addresses[places[0]] if places else None

    def lacking(self, names: set[str]) -> set[str]:
        """Those of ``names`` that no symbol has, compilers' and pahole's suffixes aside."""
        lacking = names.difference(self._names)
        if lacking:
            lacking.difference_update(n.partition(".")[0] for n in self._names if "." in n)
        # Functions with implicit arguments (KF_IMPLICIT_ARGS): resolve_btfids adds such names.
        return {name for name in lacking if not (name.endswith("_impl") and name[:-5] in names)}

    def size(self, i: int) -> int:
        """Bytes to the next symbol, padding included; 0 for the last."""
        addresses = self._addresses
        j = bisect_right(addresses, addresses[i])
        return addresses[j] - addresses[i] if j < len(addresses) else 0

    def symbol(self, i: int) -> Symbol:
        """The symbol with index ``i``."""
        letter = self._kinds[i]
        if self.is_function(i):
            kind = SymbolKind.FUNC
        else:
            kind = SymbolKind.UNKNOWN if letter in "aA?" else SymbolKind.OBJECT
        return Symbol(self._names[i], self._addresses[i], self.size(i), _binding(letter), kind)

    def is_function(self, i: int) -> bool:
        """Whether the symbol with index ``i`` names code.

        The letter alone does not tell: 7.2's data has ``T``, because of the segment it lies in.
        """
        if self._kinds[i] not in "tTwW":
            return False
        address = self._addresses[i]
        return not self._text or any(start <= address < end for start, end in self._text)

    @cached_property
    def _text(self) -> list[tuple[int, int]]:
        marks = (("_text", "_etext"), ("_sinittext", "_einittext"))
        found = [(self.address(start), self.address(end)) for start, end in marks]
        return [(start, end) for start, end in found if start is not None and end is not None]


def _binding(letter: str) -> SymbolBinding:
    if letter in "wWvV":
        return SymbolBinding.WEAK
    return SymbolBinding.GLOBAL if letter.isupper() else SymbolBinding.LOCAL
