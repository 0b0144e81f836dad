"""Slab caches to the last object: per CPU, per node, allocated or free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.nodemask import for_each_online_node
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.slab import find_slab_cache, for_each_slab_cache

from kautopsy.kernel.reading import READ_ERRORS, reason, text
from kautopsy.shell.context import cpus
from kautopsy.shell.errors import CommandError
from kautopsy.shell.session import Session

_HEAD = "CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME"
_SLAB = "  SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE"
_MOST_SLABS = 1_000_000


def node_of(cache: Object, number: int) -> Object:
    """``struct kmem_cache_node *``; ``kmem_cache.node[]`` became ``per_node[].node`` in 7.x."""
    try:
        return cache.node[number].read_()
    except AttributeError:
        return cache.per_node[number].node.read_()


@dataclass(frozen=True)
class Usage:
    """How much of a cache is in use, counted to the last object."""

    total: int
    free: int
    slabs: int


def cache_table(session: Session, words: list[str], ignored: tuple[str, ...]) -> Iterator[str]:
    """``kmem -s``: all caches, those named, their list, or the one that holds an address."""
    address = _address(words)
    if address is not None:
        found = list(object_lines(session, address))
        if not found:
            raise CommandError("is no slab object", thing=f"{address:x}")
        yield from found
        return
    caches = [_named(session, word) for word in words if word != "list"]
    if words == ["list"]:
        for cache in _all(session):
            yield f"{cache.value_():x} {text(cache.name.string_())}"
        return
    yield _HEAD
    for cache in caches or _all(session):
        name = text(cache.name.string_())
        yield _ignored(cache, name) if name in ignored else summary(cache)


def _ignored(cache: Object, name: str) -> str:
    return f"{cache.value_():x} {'[IGNORED]':<45}{name}"


def object_lines(session: Session, address: int) -> Iterator[str]:
    """The cache, the slab and the object that an address lies in; nothing where it is in none."""
    from drgn.helpers.linux.slab import slab_object_info

    try:
        found = slab_object_info(session.program, address)
    except READ_ERRORS:
        found = None
    if found is None:
        return
    yield _HEAD
    yield summary(found.slab_cache)
    yield from _SlabPrinter(found.slab_cache).head(found.slab)
    yield "  FREE / [ALLOCATED]"
    yield f"  [{found.address:x}]" if found.allocated else f"   {found.address:x}"


def summary(cache: Object) -> str:
    """The line of a cache."""
    try:
        used = usage(cache)
        order = (int(cache.oo.x) >> 16) & 0xFFFF
    except READ_ERRORS as error:
        return f"{cache.value_():x}  {text(cache.name.string_())}: {reason(error)}"
    return (
        f"{cache.value_():x} {int(cache.object_size):>8} {used.total - used.free:>10} "
        f"{used.total:>9} {used.slabs:>6} {4 << order:>5}k  {text(cache.name.string_())}"
    )


def usage(cache: Object) -> Usage:
    """Count a cache's objects.

    An object is free if it is on the free list of a slab or of a CPU: /proc/slabinfo, which does
    not look at the CPUs' lists, counts more as active.
    """
    printer = _SlabPrinter(cache)
    total = slabs = free = 0
    for number in for_each_online_node(cache.prog_):
        node = node_of(cache, number)
        if not node:
            continue
        total += int(node.total_objects.counter)
        slabs += int(node.nr_slabs.counter)
        free += sum(printer.free_of(slab) for slab in printer.partial_of(node))
    for cpu in for_each_online_cpu(cache.prog_):
        free += printer.free_on(cpu)
    return Usage(total, free, slabs)


def every_object(
    session: Session, spec: str, words: list[str], ignored: tuple[str, ...]
) -> Iterator[str]:
    """``kmem -S``: all slabs of the caches that are named, or of all.

    :param spec: CPUs whose own slabs are shown, '' for all
    """
    program = session.program
    wanted = cpus(session, spec or "a")
    address = _address(words)
    if address is not None:
        yield from cache_table(session, words, ignored)
        return
    caches = [_named(session, word) for word in words] if words else _all(session)
    first = True
    for cache in caches:
        name = text(cache.name.string_())
        if not first:
            yield ""
        first = False
        yield _HEAD
        if name in ignored:
            yield _ignored(cache, name)
            continue
        yield summary(cache)
        online = set(for_each_online_cpu(program))
        slab = _SlabPrinter(cache)
        for cpu in wanted:
            if cpu in online:
                yield from slab.cpu(cpu)
        yield from slab.nodes()


def _address(words: list[str]) -> int | None:
    if len(words) == 1:
        try:
            value = int(words[0], 16)
        except ValueError:
            return None
        return value if value >> 47 else None
    return None


def _named(session: Session, name: str) -> Object:
    cache = find_slab_cache(session.program, name)
    if cache is None:
        raise CommandError("no such slab cache", thing=name, hint="kmem -s list")
    return cache


def _all(session: Session) -> list[Object]:
    return list(for_each_slab_cache(session.program))


class _SlabPrinter:
    """The slabs of one SLUB cache.

    The struct slab that was part of struct page before 5.17 (d122019bf061) has the same members.
    """

    def __init__(self, cache: Object) -> None:
        self.cache = cache
        self.program = cache.prog_
        self.size = int(cache.size)

    def cpu(self, cpu: int) -> Iterator[str]:
        """The slab that a CPU allocates from, and its partial ones."""
        try:
            here = per_cpu_ptr(self.cache.cpu_slab, cpu)
        except READ_ERRORS:
            # 7.0 replaced per-CPU slabs by sheaves (mm/slub.c).
            return
        yield f"CPU {cpu} KMEM_CACHE_CPU:"
        yield f"  {int(here):x}"
        slab = self._member(here, "slab", "page")
        yield f"CPU {cpu} SLAB:"
        if slab is None or not slab:
            yield "  (empty)"
        else:
            yield from self._slab(slab, on_cpu=self._chain(int(here.freelist)), cpu=cpu)
        partial = self._member(here, "partial")
        yield f"CPU {cpu} PARTIAL:"
        if partial is None or not partial:
            yield "  (empty)"
        count = 0
        while partial is not None and partial and count < _MOST_SLABS:
            yield from self._slab(partial)
            partial = self._member(partial, "next")
            count += 1
        yield ""

    def head(self, slab: Object) -> Iterator[str]:
        """A slab's own line, with its title."""
        taken: set[int] = set()
        for cpu in for_each_online_cpu(self.program):
            try:
                here = per_cpu_ptr(self.cache.cpu_slab, cpu)
            except READ_ERRORS:
                break  # sheaves, see cpu()
            current = self._member(here, "slab", "page")
            if current is not None and current.value_() == slab.value_():
                taken = self._chain(int(here.freelist))
        yield from list(self._slab(slab, on_cpu=taken))[:2]

    def free_of(self, slab: Object) -> int:
        """Objects on the free list of a slab that no CPU owns."""
        return int(slab.objects) - int(slab.inuse)

    def partial_of(self, node: Object) -> Iterator[Object]:
        """The partial slabs of a node."""
        if not int(node.nr_partial):
            return
        kind, member = self._kind()
        for at, slab in enumerate(list_for_each_entry(kind, node.partial.address_of_(), member)):
            yield slab
            if at > _MOST_SLABS:
                return

    def free_on(self, cpu: int) -> int:
        """Objects that a CPU can hand out without asking: its own list and its partial slabs."""
        try:
            here = per_cpu_ptr(self.cache.cpu_slab, cpu).read_()
        except READ_ERRORS:
            return 0
        found = 0
        slab = self._member(here, "slab", "page")
        if slab is not None and slab:
            found += len(self._chain(int(here.freelist)) | self._chain(int(slab.freelist)))
        partial = self._member(here, "partial")
        for _ in range(_MOST_SLABS):
            if partial is None or not partial:
                break
            found += self.free_of(partial)
            partial = self._member(partial, "next")
        return found

    def nodes(self) -> Iterator[str]:
        """The partial slabs of each node, and the full ones where debugging tracks them."""
        # The array is as long as this machine needs (kmem_cache_init), whatever its type says.
        for number in for_each_online_node(self.program):
            try:
                node = node_of(self.cache, number)
                if not node:
                    continue
                total = int(node.nr_slabs.counter) if hasattr(node, "nr_slabs") else -1
                partials = int(node.nr_partial)
            except READ_ERRORS:
                continue
            yield "KMEM_CACHE_NODE   NODE  SLABS  PARTIAL"
            slabs = str(total) if total >= 0 else "?"
            yield f"{node.value_():x}  {number:>4}  {slabs:>5}  {partials:>7}"
            yield f"NODE {number} PARTIAL:"
            yield from self._listed(node.partial)
            try:
                full = node.full
            except AttributeError:
                yield f"NODE {number} FULL:"
                yield "  (not tracked)"
                continue
            yield f"NODE {number} FULL:"
            yield from self._listed(full)

    def _listed(self, head: Object) -> Iterator[str]:
        kind, member = self._kind()
        found = False
        try:
            for at, slab in enumerate(list_for_each_entry(kind, head.address_of_(), member)):
                found = True
                yield from self._slab(slab)
                if at > _MOST_SLABS:
                    break
        except READ_ERRORS:
            yield "  (the rest is not in the dump)"
        if not found:
            yield "  (empty)"

    def _kind(self) -> tuple[str, str]:
        """The structure of a slab, and the list_head in it."""
        kind = "struct slab" if self._has("struct slab", "freelist") else "struct page"
        return kind, "slab_list" if self._has(kind, "slab_list") else "lru"

    def _has(self, kind: str, member: str) -> bool:
        try:
            return bool(self.program.type(kind).has_member(member))
        except LookupError:
            return False

    def _member(self, value: Object, *names: str) -> Object | None:
        for name in names:
            try:
                return value.member_(name).read_()
            except READ_ERRORS:
                continue
        return None

    def _slab(self, slab: Object, on_cpu: set[int] | None = None, cpu: int = 0) -> Iterator[str]:
        """One slab and its objects; ``on_cpu``: those that ``cpu`` has on its own free list."""
        from drgn import cast
        from drgn.helpers.linux.mm import page_to_virt

        page = cast("struct page *", slab)
        try:
            memory = int(page_to_virt(page))
            total = int(slab.objects)
            free = self._chain(int(slab.freelist)) | (on_cpu or set())
        except READ_ERRORS:
            yield f"  {slab.value_():x}  (not in the dump)"
            return
        allocated = total - len(free)
        node = self._node(page)
        yield _SLAB
        yield (
            f"  {slab.value_():016x}  {memory:016x}  {node:>4}  {total:>5}  {allocated:>9}  "
            f"{len(free):>4}"
        )
        yield "  FREE / [ALLOCATED]"
        start = memory + (int(self.cache.red_left_pad) if self._red() else 0)
        for at in range(total):
            address = start + at * self.size
            note = f"  (cpu {cpu} cache)" if address in (on_cpu or ()) else ""
            yield f"   {address:x}{note}" if address in free else f"  [{address:x}]"

    def _red(self) -> bool:
        return self._has("struct kmem_cache", "red_left_pad")

    def _node(self, page: Object) -> int:
        """The memory node whose page frames hold ``page``."""
        from drgn.helpers.linux.mm import page_to_pfn
        from drgn.helpers.linux.mmzone import for_each_online_pgdat

        frame = int(page_to_pfn(page))
        for node in for_each_online_pgdat(self.program):
            first = int(node.node_start_pfn)
            if first <= frame < first + int(node.node_spanned_pages):
                return int(node.node_id)
        return 0

    def _chain(self, pointer: int) -> set[int]:
        """A free list, followed through its (perhaps obfuscated) pointers.

        With CONFIG_SLAB_FREELIST_HARDENED a pointer is stored xor the cache's secret and the byte
        swapped address it is stored at (since 5.7, 1ad53d9fa3f6).
        """
        found: set[int] = set()
        offset = int(self.cache.offset)
        try:
            secret = int(self.cache.random)
        except AttributeError:
            secret = None
        while pointer and pointer not in found and len(found) < 1 << 16:
            found.add(pointer)
            at = pointer + offset
            word = self.program.read_u64(at)
            if secret is not None:
                word ^= secret ^ int.from_bytes(at.to_bytes(8, "little"), "big")
            pointer = word
        return found


def rooted(session: Session, words: list[str], ignored: tuple[str, ...]) -> Iterator[str]:
    """``kmem -r``: each root cache with its children's counts added (4.11 to 5.8)."""
    program = session.program
    try:
        roots = program["slab_root_caches"]
    except LookupError:
        raise CommandError(
            "this kernel has no slab_root_caches: it was there from 4.11 to 5.8"
        ) from None
    yield _HEAD
    for cache in list_for_each_entry(
        "struct kmem_cache", roots.address_of_(), "memcg_params.__root_caches_node"
    ):
        name = text(cache.name.string_())
        if name in ignored or (words and name not in words):
            continue
        family = [cache, *list_for_each_entry(
            "struct kmem_cache", cache.memcg_params.children.address_of_(),
            "memcg_params.children_node",
        )]  # fmt: skip
        yield _sum(session, family)


def _sum(session: Session, family: list[Object]) -> str:
    from drgn.helpers.linux.slab import slab_cache_usage

    usages = [slab_cache_usage(one) for one in family]
    root = family[0]
    order = int(root.oo.x) >> 16
    return (
        f"{root.value_():x}  {int(root.object_size):>7}  "
        f"{sum(one.num_objs - one.free_objs for one in usages):>9}  "
        f"{sum(one.num_objs for one in usages):>8}  {sum(one.num_slabs for one in usages):>5}  "
        f"{4 << order:>4}k  {text(root.name.string_())}"
    )
