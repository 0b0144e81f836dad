"""Slab caches: what the kernel itself has allocated, by kind of object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.slab import for_each_slab_cache

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

_MAX_NODES = 1024
_MAX_ORDER = 32
"""Slabs of 2^order pages; the kernel has up to 10."""


class SlabCache(msgspec.Struct, frozen=True):
    """One slab cache (SLUB)."""

    name: Annotated[str, Column("of the cache; merged ones have one")]
    object_size: Annotated[int | Unreadable, Column("that users asked for", unit="bytes")]
    size: Annotated[int | Unreadable, Column("with metadata and padding", unit="bytes")]
    objects: Annotated[int | Unreadable, Column("room for, in its slabs")]
    slabs: Annotated[int | Unreadable, Column("number of")]
    bytes: Annotated[int | Unreadable, Column("of all its slabs", unit="bytes")]
    reclaimable: Annotated[bool | Unreadable, Column("its memory can be had back under pressure")]


_RECLAIM_ACCOUNT = 0x0002_0000  # SLAB_RECLAIM_ACCOUNT; a bit of enum _slab_flag_bits since v6.9


@table
def slab_caches(program: Program) -> Iterator[SlabCache]:
    """Slab caches and what they hold, from the counters that each keeps per node."""
    page = int(program["PAGE_SIZE"])
    for cache in for_each_slab_cache(program):
        yield _row(cache, page)


def _row(cache: Object, page: int) -> SlabCache:
    slabs, objects = _counts(cache)
    order = readable(lambda: int(cache.oo.x) >> 16)
    held: int | Unreadable
    if isinstance(order, int) and order > _MAX_ORDER:
        held = Unreadable(f"its order, {order}, makes no sense")
    elif isinstance(slabs, int) and isinstance(order, int):
        held = slabs * (page << order)
    else:
        held = slabs if isinstance(slabs, Unreadable) else Unreadable("its order is not known")
    return SlabCache(
        name=text(cache.name.string_()),
        object_size=readable(lambda: int(cache.object_size)),
        size=readable(lambda: int(cache.size)),
        objects=objects,
        slabs=slabs,
        bytes=held,
        reclaimable=readable(lambda: bool(int(cache.flags) & _RECLAIM_ACCOUNT)),
    )


def _counts(cache: Object) -> tuple[int | Unreadable, int | Unreadable]:
    """``kmem_cache_node.nr_slabs`` and ``.total_objects`` summed (CONFIG_SLUB_DEBUG)."""
    slabs = objects = 0
    try:
        nodes = _nodes(cache)
        for node in nodes:
            slabs += int(node.nr_slabs.counter)
            objects += int(node.total_objects.counter)
    except READ_ERRORS as error:
        missing = Unreadable(str(error))
        return missing, missing
    return slabs, objects


def _nodes(cache: Object) -> list[Object]:
    """Every ``struct kmem_cache_node *`` of a cache."""
    try:
        # Since v7.1 the node's pointer stands beside that of its barn of sheaves.
        members, of = cache.per_node, True
    except AttributeError:
        members, of = cache.node, False
    found = []
    for index in range(min(len(members), _MAX_NODES)):
        node = members[index].node if of else members[index]
        if not node:
            break
        found.append(node)
    return found
