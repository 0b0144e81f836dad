"""Trees of the kernel, walked node by node, so that it can be said where an entry hangs.

Layouts: ``include/linux/rbtree_types.h``, ``xarray.h`` (4.20), ``maple_tree.h`` (6.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program

from kautopsy.shell.errors import CommandError

_MOST_DEEP = 128
"""A red-black tree of 2^64 nodes is no deeper; what is deeper is overwritten."""
_MAX = (1 << 64) - 1
# enum maple_type
_DENSE, _LEAF, _RANGE, _ARANGE = range(4)
_NODE_SIZE = 256
"""Of a maple node, which is aligned to it: the low byte of a pointer to one says its type."""


@dataclass(frozen=True)
class Entry:
    """One entry.

    :param address: of the structure, or the value that is stored
    :param position: the way from the root: ``root/l/r``, ``root/0/12``
    :param index: in an XArray its index, in a maple tree its number, from 1
    """

    address: int
    position: str
    index: int | None = None


def red_black(
    program: Program, node: int, offset: int, *, sorted_: bool = False
) -> Iterator[Entry]:
    """The entries below a ``struct rb_node``, each before those below it, or in order.

    :param offset: of the node in its structure, bytes
    """

    def below(at: int, position: str, depth: int) -> Iterator[Entry]:
        if not at:
            return
        if depth > _MOST_DEEP:
            raise CommandError("the tree is deeper than any can be: it is damaged")
        found = Object(program, "struct rb_node", address=at)
        left, right = int(found.rb_left), int(found.rb_right)
        entry = Entry(at - offset, position)
        if not sorted_:
            yield entry
        yield from below(left, position + "/l", depth + 1)
        if sorted_:
            yield entry
        yield from below(right, position + "/r", depth + 1)

    yield from below(node, "root", 0)


def xarray(program: Program, entry: int) -> Iterator[Entry]:
    """The entries of an XArray below ``entry``: its head, or a pointer to a ``struct xa_node``."""

    def below(at: int, index: int, position: str, depth: int) -> Iterator[Entry]:
        node = Object(program, "struct xa_node", address=at)
        shift = int(node.shift)
        if depth > 12 or shift > 60:
            raise CommandError("the tree is deeper than any can be: it is damaged")
        for slot, found in enumerate(node.slots.read_()):
            value = int(found)
            place, here = index + (slot << shift), f"{position}/{slot}"
            if _is_node(value):
                yield from below(value & ~3, place, here, depth + 1)
            elif value & 3 != 2 and value:  # siblings, retries and empty slots are no entries
                yield Entry(value, here, place)

    if _is_node(entry):
        yield from below(entry & ~3, 0, "root", 0)
    elif entry and entry & 3 != 2:
        yield Entry(entry, "root", 0)


def _is_node(entry: int) -> bool:
    """xa_is_node(): internal entries up to 4096 are siblings, retries and errors."""
    return entry & 3 == 2 and entry > 4096


class MapleTree:
    """A ``struct maple_tree``, or what hangs below one of its nodes.

    :param root: ``ma_root``, or another encoded pointer to a node
    """

    def __init__(self, program: Program, root: int) -> None:
        self._program, self._root = program, root

    def entries(self) -> Iterator[Entry]:
        """In the order of their indexes."""
        number = 0
        for _depth, _first, _last, entry, position in self._below(
            self._root, 0, _MAX, "root", 0, []
        ):
            if entry:
                number += 1
                yield Entry(entry, position, number)

    def dumped(self) -> Iterator[str]:
        """Every node with what it holds, in the form of the kernel's mt_dump()."""
        lines: list[str] = []
        for depth, first, last, entry, _ in self._below(self._root, 0, _MAX, "root", 0, lines):
            yield from lines
            lines.clear()
            yield f"{'  ' * depth}{_range(first, last)}: {entry:#x}"
        yield from lines

    def _below(
        self, entry: int, low: int, high: int, position: str, depth: int, lines: list[str]
    ) -> Iterator[tuple[int, int, int, int, str]]:
        """Depth, first and last index, entry and position; nodes are told in ``lines``."""
        # xa_is_node(): a pointer to a node has 2 in its lowest bits, its type in bits 3 to 6.
        if not _is_node(entry):
            yield depth, low, high, entry, position
            return
        kind = entry >> 3 & 0xF
        if depth > 31 or kind > _ARANGE:
            raise CommandError("the tree is damaged", thing=f"{entry:x}")
        at = entry & -_NODE_SIZE
        node = Object(self._program, "struct maple_node", address=at).read_()
        if kind == _DENSE:
            slots, pivots = [int(one) for one in node.slot], list(range(low, low + 31))
        else:
            part = node.ma64 if kind == _ARANGE else node.mr64
            slots = [int(one) for one in part.slot]
            pivots = [int(one) for one in part.pivot]
        lines.append(
            f"{'  ' * depth}{_range(low, high)}: node {at:#x} depth {depth} type {kind} "
            f"parent {int(node.parent):#x} contents: {_contents(node, kind, slots, pivots)}"
        )
        first = low
        for slot, found in enumerate(slots):
            last = pivots[slot] if slot < len(pivots) else high
            if slot >= len(pivots) and not found and high != _MAX:
                return
            if (last == 0 and slot > 0) or last > high:
                return
            here = f"{position}/{slot}"
            if kind in (_DENSE, _LEAF):
                yield depth + 1, first, last, found, here
            elif found:
                yield from self._below(found, first, last, here, depth + 1, lines)
            if last == high:
                return
            first = last + 1


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _contents(node: Object, kind: int, slots: list[int], pivots: list[int]) -> str:
    words: list[str] = []
    if kind == _ARANGE:
        words += [str(int(gap)) for gap in node.ma64.gap]
        words.append(f"| {int(node.ma64.meta.end):02X} {int(node.ma64.meta.gap):02X}|")
    for slot, found in enumerate(slots):
        words.append(f"{found:#x}" if found else "(nil)")
        if slot < len(pivots) and kind != _DENSE:
            words.append(str(pivots[slot]))
    return " ".join(words)
