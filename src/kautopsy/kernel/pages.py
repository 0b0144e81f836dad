"""What every page frame was used for, counted from the kernel's own map of them.

The map is an array of ``struct page``, of which makedumpfile keeps every entry at any dump level.
It is read in bulk, and of each entry only three words are looked at: ``flags``, the word that marks
a tail of a compound page, and the one that holds ``page_type`` (or ``_mapcount``) and
``_refcount``. So the counts are independent of the counters in ``zones`` and of memory_use(), which
may have drifted, or lie.

Flags name node and zone in their highest bits (include/linux/page-flags-layout.h, for
SPARSEMEM_VMEMMAP). A page's type is in ``page_type``: one of the highest byte's values since
4ffca5a96678 ("mm: support only one page type per page", v6.12), before that a cleared bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
from drgn import FaultError, Object, Program, TypeKind, offsetof, sizeof
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.percpu import per_cpu_ptr

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.table import Column, table

_CHUNK = 1 << 15
"""Entries read at a time: 2 MiB of the map, a section of 128 MiB on x86-64."""
_SUBSECTION = 512
"""The map of memory that can be plugged in has holes of this many entries."""

_MAX_ORDER = 32
"""Free blocks have 2^order pages, with an order up to 10 or so; what is more is damage."""

_BUDDY = "buddy"
_PER_CPU = "per-cpu free"
_HUGETLB = "hugetlb"
_KERNEL = "kernel"
_LOST = "not in the dump"

# enum pagetype, without its prefix: what we call it.
_TYPES = {
    "buddy": _BUDDY,
    "offline": "offline",
    "table": "page tables",
    "guard": "guard",
    "hugetlb": _HUGETLB,
    "slab": "slab",
    "zsmalloc": "zsmalloc",
    "unaccepted": "unaccepted",
    "large_kmalloc": "large kmalloc",
}


class PageState(msgspec.Struct, frozen=True):
    """How many pages of a zone are used for one purpose."""

    node: Annotated[int, Column("number")]
    zone: Annotated[str, Column("DMA, DMA32, Normal, Movable ...")]
    state: Annotated[
        str,
        Column(
            "buddy (free), per-cpu free, active anon, inactive anon, active file, inactive file "
            "(anon, file where the kernel keeps generations), unevictable, slab, large kmalloc, "
            "page tables, hugetlb, reserved (at boot, or no memory), offline (balloons too), "
            "hwpoison, zsmalloc, guard, unaccepted, kernel (allocated, no mark says for what), "
            "not in the dump"
        ),
    ]
    pages: Annotated[int, Column("number of", unit="pages")]
    bytes: Annotated[int, Column("of all of them", unit="bytes")]


@table
def pages(program: Program) -> Iterator[PageState]:
    """Page frames by zone and use, counted from the map of all pages."""
    size = int(program["PAGE_SIZE"])
    census = _Census(program)
    census.take()
    for zone, counts in census.by_zone():
        name = text(zone.name.string_())
        for state, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if count > 0:
                yield PageState(
                    node=int(zone.zone_pgdat.node_id),
                    zone=name,
                    state=state,
                    pages=count,
                    bytes=count * size,
                )


@dataclass(frozen=True)
class _Words:
    """Where in ``struct page`` the words are, in units of eight bytes."""

    stride: int
    compound: int
    private: int
    kind: int

    @classmethod
    def of(cls, program: Program) -> _Words:
        page = program.type("struct page")
        # Renamed in d50569612c29 (v7.1).
        name = "compound_info" if page.has_member("compound_info") else "compound_head"
        kind = offsetof(page, "_mapcount")
        if kind + 4 != offsetof(page, "_refcount") or kind % 8 or sizeof(page) % 8:
            raise LookupError("a struct page of this form")
        return cls(
            sizeof(page) // 8, offsetof(page, name) // 8, offsetof(page, "private") // 8, kind // 8
        )


_Place = tuple[int, int]
"""Node and zone, by number."""


class _Census:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._words = _Words.of(program)
        self._map = int(program["vmemmap"])
        self._state = _states(program)
        self._hugetlb = _hugetlb_test(program)
        self._head_flag = 1 << int(program.constant("PG_head"))
        self._nodes = {int(node.node_id): node for node in for_each_online_pgdat(program)}
        zones = len(next(iter(self._nodes.values())).node_zones)
        # ZONES_WIDTH and NODES_SHIFT; the node is in the highest bits, the zone below.
        self._zone_bits = (zones - 1).bit_length()
        self._node_bits = _node_bits(program)
        # Since 8c846c879e22 (v7.1) a tail may hold a mask that leads from its own address to the
        # head's. Before that, where hugetlb's map is optimised away, tails may look like heads.
        page = program.type("struct page")
        has_tails = program.type("struct zone").has_member("vmemmap_tails")
        self._masks = not sizeof(page) & (sizeof(page) - 1) and has_tails
        self._counts: Counter[tuple[_Place, str]] = Counter()
        self._tails: Counter[int] = Counter()
        self._heads: dict[int, tuple[_Place, str]] = {}

    def take(self) -> None:
        """Count every page of every node."""
        spans = sorted(
            (int(node.node_start_pfn), int(node.node_start_pfn) + int(node.node_spanned_pages))
            for node in self._nodes.values()
        )
        done = 0
        for start, end in spans:
            self._range(max(start, done), end)
            done = max(done, end)
        for head, count in self._tails.items():
            if head in self._heads:
                self._counts[self._heads[head]] += count
        self._per_cpu_lists()

    def by_zone(self) -> Iterator[tuple[Object, Counter[str]]]:
        """Zones with their counts by state."""
        for number, node in self._nodes.items():
            for index, zone in enumerate(node.node_zones):
                counts: Counter[str] = Counter()
                for (place, state), count in self._counts.items():
                    if place == (number, index):
                        counts[state] += count
                present = int(zone.present_pages)
                if present:
                    counts[_LOST] = max(0, present - counts.total())
                    yield zone, counts

    def _range(self, start: int, end: int) -> None:
        """Count the frames [start, end); those without an entry in the map are passed over."""
        size = 8 * self._words.stride
        faults = 0
        while start < end:
            stop = min(end, (start // _CHUNK + 1) * _CHUNK)
            try:
                self._chunk(self._map + start * size, stop - start)
                start, faults = stop, 0
            except FaultError as error:
                hole = max(start, (error.address - self._map) // size)
                if hole > start:
                    self._chunk(self._map + start * size, hole - start)
                    faults = 0
                # Lost pages of the map are 4 KiB each; a hole in memory has no map at all.
                step = _SUBSECTION if faults else 4096 // size
                start = (hole // step + 1) * step
                faults += 1

    def _chunk(self, address: int, count: int) -> None:
        """Count ``count`` entries of the map from ``address`` on.

        :raises FaultError: not all of them are in the dump
        """
        words, stride = self._words, self._words.stride
        everything = memoryview(self._program.read(address, 8 * stride * count)).cast("Q")
        flags = everything[::stride].tolist()
        compound = everything[words.compound :: stride].tolist()
        kinds = everything[words.kind :: stride].tolist()
        tails = [info & 1 for info in compound]
        found = Counter(zip(flags, kinds, tails, strict=True))
        heads: set[int] = set()
        for (flag, kind, tail), number in found.items():
            if tail:
                continue
            state = self._state(flag, kind)
            self._counts[self._place(flag), state] += number
            if flag & self._head_flag:
                heads.add(flag)
            if state == _BUDDY:
                self._free_blocks(flags, kinds, flag, kind, everything)
        size = 8 * stride
        for flag in heads:
            for index in _places(flags, flag):
                if not tails[index]:
                    self._head(address + index * size, flag, kinds[index], compound, index)
        if 1 in tails:
            for index, info in enumerate(compound):
                if info & 1:
                    own = address + index * size
                    self._tails[own & info if self._masks else info - 1] += 1

    def _free_blocks(
        self, flags: list[int], kinds: list[int], flag: int, kind: int, everything: memoryview
    ) -> None:
        """Of a free block only the first page is marked, and holds the order in ``private``.

        The others look like the rest of a block that was allocated without marking it as one.
        """
        private = everything[self._words.private :: self._words.stride]
        rest = 0
        for index in _places(kinds, kind):
            if flags[index] == flag and private[index] <= _MAX_ORDER:
                rest += (1 << private[index]) - 1
        place = self._place(flag)
        self._counts[place, _BUDDY] += rest
        self._counts[place, _KERNEL] -= rest

    def _head(self, address: int, flag: int, kind: int, compound: list[int], index: int) -> None:
        """Remember what the tails of a compound page belong to."""
        place, state = self._place(flag), self._state(flag, kind)
        following = compound[index + 1] if index + 1 < len(compound) else 0
        if not self._masks and following & 1 and following - 1 != address:
            # A tail that shows the head's own page of the map (HugeTLB Vmemmap Optimization).
            self._counts[place, state] -= 1
            self._tails[following - 1] += 1
            return
        if self._hugetlb is not None and state == _KERNEL and self._hugetlb(address):
            self._counts[place, state] -= 1
            self._counts[place, _HUGETLB] += 1
            state = _HUGETLB
        self._heads[address] = place, state

    def _place(self, flag: int) -> _Place:
        zone = flag >> (64 - self._node_bits - self._zone_bits) & ((1 << self._zone_bits) - 1)
        return flag >> (64 - self._node_bits), zone

    def _per_cpu_lists(self) -> None:
        """Free pages that CPUs keep for themselves have no mark: the lists' lengths tell."""
        cpus = list(for_each_online_cpu(self._program))
        for number, node in self._nodes.items():
            for index, zone in enumerate(node.node_zones):
                if not int(zone.present_pages):
                    continue
                kept = sum(_kept(zone, cpu) for cpu in cpus)
                place = number, index
                kept = max(0, min(kept, self._counts[place, _KERNEL]))
                self._counts[place, _PER_CPU] += kept
                self._counts[place, _KERNEL] -= kept


def _kept(zone: Object, cpu: int) -> int:
    try:
        # Split in 28f836b6777b ("mm/page_alloc: split per cpu page lists and zone stats", v5.14).
        return int(per_cpu_ptr(zone.per_cpu_pageset, cpu).count)
    except AttributeError:
        return int(per_cpu_ptr(zone.pageset, cpu).pcp.count)


def _places(values: list[int], value: int) -> Iterator[int]:
    """Every index of ``value``."""
    at = -1
    try:
        while True:
            at = values.index(value, at + 1)
            yield at
    except ValueError:
        return


def _node_bits(program: Program) -> int:
    """``NODES_SHIFT``: ``node_data`` has a pointer for every node that there could be."""
    try:
        return (int(program.symbol("node_data").size) // 8 - 1).bit_length()
    except LookupError:
        return 0  # not NUMA


def _states(program: Program) -> Callable[[int, int], str]:
    """What a page that is no tail is used for, from its flags and type."""
    typed = _typed(program)

    def flag(name: str) -> int:
        try:
            return 1 << int(program.constant(name))
        except LookupError:
            return 0

    poison, reserved, lru = flag("PG_hwpoison"), flag("PG_reserved"), flag("PG_lru")
    active, swap, unevictable = flag("PG_active"), flag("PG_swapbacked"), flag("PG_unevictable")
    slab = 0 if "slab" in typed.names else flag("PG_slab")
    generations = _has_generations(program)
    seen: dict[tuple[int, int], str] = {}
    low = (1 << 32) - 1
    cared = poison | reserved | lru | active | swap | unevictable | slab

    def state(flags: int, kind: int) -> str:
        key = flags & cared, kind
        found = seen.get(key)
        if found is None:
            found = seen[key] = decide(flags, kind)
        return found

    def decide(flags: int, kind: int) -> str:
        if flags & poison:
            return "hwpoison"
        name = typed.of(kind & low)
        if name:
            return name
        if flags & slab:
            return "slab"
        if flags & reserved:
            return "reserved"
        if flags & lru:
            if flags & unevictable:
                return "unevictable"
            what = "anon" if flags & swap else "file"
            return what if generations else f"{'' if flags & active else 'in'}active {what}"
        return _KERNEL

    return state


def _has_generations(program: Program) -> bool:
    """Whether pages are on the lists of generations, where PG_active says nothing (mm/vmscan.c)."""
    try:
        # struct static_key_false lru_gen_caps[]: LRU_GEN_CORE is the first; enabled comes first.
        return bool(program.read_u32(program.symbol("lru_gen_caps").address))
    except READ_ERRORS:
        return False


@dataclass(frozen=True)
class _Typed:
    """How ``page_type`` says what a page is.

    :param names: type → value
    :param base: bits that are set in every typed page where ``value`` is a bit that is cleared;
        0 where it is what the highest byte holds
    """

    names: dict[str, int]
    base: int

    def of(self, word: int) -> str:
        """Our name for the type in ``word``, '' if it has none."""
        for name, value in self.names.items():
            if self.base == 0:
                if word >> 24 == value:
                    return _TYPES[name]
            elif word & (self.base | value) == self.base:
                return _TYPES[name]
        return ""


def _typed(program: Program) -> _Typed:
    names: dict[str, int] = {}
    try:
        kinds = program.type("enum pagetype")
    except LookupError:
        # Macros before 46df8e73a4a3 (v6.10). v5.10 had PG_kmemcg among them, until 18b2db3b0385
        # ("mm: Convert page kmemcg type to a page memcg flag", v5.11), with page.memcg_data.
        names = {"buddy": 0x80, "offline": 0x100, "table": 0x200, "guard": 0x400}
        if program.type("struct page").has_member("mem_cgroup"):
            names.update(table=0x400, guard=0x800)
        return _Typed(names, 0xF0000000)
    assert kinds.kind == TypeKind.ENUM
    for one in kinds.enumerators or ():
        prefix, _, name = one.name.partition("_")
        if name in _TYPES and prefix in ("PGTY", "PG"):
            names[name] = one.value
    if names["buddy"] < 0x100 and names["buddy"] != 0x80:
        return _Typed(names, 0)
    # Bits of their own in v6.10, of the highest byte in v6.11 (8db00ad56461).
    return _Typed(names, 0xF0000000 if names["buddy"] == 0x80 else 0x80000000)


def _hugetlb_test(program: Program) -> Callable[[int], bool] | None:
    """Whether the compound page with its head at an address is hugetlb's; None: its type says it.

    The second page tells: by a flag since 9c5ccf2db04b ("mm: remove HUGETLB_PAGE_DTOR", v6.6),
    before that by the number of its destructor.
    """
    page = program.type("struct page")
    size = sizeof(page)
    try:
        kinds = {one.name for one in program.type("enum pagetype").enumerators or ()}
        if kinds & {"PGTY_hugetlb", "PG_hugetlb"}:
            return None
    except LookupError:
        pass
    try:
        mask = 1 << int(program.constant("PG_hugetlb"))
        return lambda head: bool(program.read_u64(head + size) & mask)
    except LookupError:
        pass
    try:
        number = int(program.constant("HUGETLB_PAGE_DTOR"))
        if page.has_member("compound_dtor"):
            place = size + offsetof(page, "compound_dtor")
        else:
            place = offsetof(program.type("struct folio"), "_folio_dtor")
        return lambda head: bool(program.read_u8(head + place) == number)
    except READ_ERRORS:
        return None  # a kernel without hugetlb
