"""Memory: where it was, and how near the machine was to having none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.hugetlb import for_each_hstate, huge_page_size
from drgn.helpers.linux.mm import totalram_pages
from drgn.helpers.linux.mmzone import (
    for_each_online_pgdat,
    high_wmark_pages,
    low_wmark_pages,
    min_wmark_pages,
)
from drgn.helpers.linux.swap import for_each_swap_info
from drgn.helpers.linux.vmstat import (
    global_node_page_state,
    global_zone_page_state,
    zone_page_state,
)

from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable
from kautopsy.model.machine import MemoryUse


class Zone(msgspec.Struct, frozen=True):
    """One zone of a NUMA node."""

    node: Annotated[int, Column("number")]
    zone: Annotated[str, Column("DMA, DMA32, Normal, Movable ...")]
    managed: Annotated[int | Unreadable, Column("pages the allocator has", unit="pages")]
    free: Annotated[int | Unreadable, Column("pages", unit="pages")]
    minimum: Annotated[int | Unreadable, Column("watermark: below, only for reclaim", unit="pages")]
    low: Annotated[int | Unreadable, Column("watermark: below, kswapd wakes up", unit="pages")]
    high: Annotated[int | Unreadable, Column("watermark: above, kswapd sleeps", unit="pages")]


@table
def zones(program: Program) -> Iterator[Zone]:
    """Zones of memory with their watermarks."""
    free = program.constant("NR_FREE_PAGES")
    for node in for_each_online_pgdat(program):
        for zone in node.node_zones[: int(node.nr_zones)]:
            if not int(zone.present_pages):
                continue
            yield _zone(int(node.node_id), zone, free)


def _zone(node: int, zone: Object, free: Object) -> Zone:
    return Zone(
        node=node,
        zone=text(zone.name.string_()),
        managed=readable(lambda: int(zone.managed_pages.counter)),
        free=readable(lambda: zone_page_state(zone, free)),
        minimum=readable(lambda: min_wmark_pages(zone)),
        low=readable(lambda: low_wmark_pages(zone)),
        high=readable(lambda: high_wmark_pages(zone)),
    )


class HugePages(msgspec.Struct, frozen=True):
    """One size of hugetlb pages."""

    size: Annotated[int, Column("of a page", unit="bytes")]
    total: Annotated[int, Column("in the pool", unit="pages")]
    free: Annotated[int, Column("not in use", unit="pages")]
    reserved: Annotated[int, Column("promised to mappings", unit="pages")]
    surplus: Annotated[int, Column("beyond the configured pool", unit="pages")]


@table
def hugepages(program: Program) -> Iterator[HugePages]:
    """Pools of hugetlb pages."""
    for state in for_each_hstate(program):
        yield HugePages(
            size=int(huge_page_size(state)),
            total=int(state.nr_huge_pages),
            free=int(state.free_huge_pages),
            reserved=int(state.resv_huge_pages),
            surplus=int(state.surplus_huge_pages),
        )


def memory_use(program: Program) -> MemoryUse:
    """Where the memory was; what cannot be read, or two counters disagree on, is ``Unreadable``."""
    page = int(program["PAGE_SIZE"])

    def node(*names: str) -> int | Unreadable:
        return readable(lambda: page * _of_nodes(program, *names))

    # The global counters are pages, also under the names they have since d42f3245c7e2 ("mm: memcg:
    # convert vmstat slab counters to bytes", v5.9).
    slab_r = node("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE")
    slab_u = node("NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE")
    file = node("NR_FILE_PAGES")
    shmem = node("NR_SHMEM")
    if isinstance(file, int) and isinstance(shmem, int):
        file = max(0, file - shmem)
    return MemoryUse(
        total=readable(
            lambda: page * _agreed(totalram_pages(program), _of_zones(program, _managed))
        ),
        free=readable(lambda: page * _free(program)),
        anon=node("NR_ANON_MAPPED"),
        file=file,
        shmem=shmem,
        slab_reclaimable=slab_r,
        slab_unreclaimable=slab_u,
        kernel_stacks=readable(lambda: 1024 * _of_nodes(program, "NR_KERNEL_STACK_KB")),
        page_tables=node("NR_PAGETABLE"),
        hugetlb=readable(
            lambda: sum(
                int(huge_page_size(state)) * int(state.nr_huge_pages)
                for state in for_each_hstate(program)
            )
        ),
        vmalloc=readable(lambda: page * _vmalloc(program)),
        percpu=readable(lambda: page * int(variable(program, "pcpu_nr_populated", "int"))),
        swap_total=readable(
            lambda: page * sum(int(swap.pages) for swap in for_each_swap_info(program))
        ),
        swap_free=readable(
            lambda: (
                page
                * sum(
                    int(swap.pages) - int(swap.inuse_pages) for swap in for_each_swap_info(program)
                )
            )
        ),
    )


def _agreed(whole: int, parts: int) -> int:
    """``whole``, if the ``parts`` that are counted beside it bear it out.

    Every counter of the machine is kept again for each zone or node, and both are changed together
    (``zone_page_state_add()``, include/linux/vmstat.h); a page of zeros, or a word that was lost,
    spoils one of the two.

    :raises ValueError: they disagree by more than changes under way explain
    """
    if abs(whole - parts) > max(whole, parts) // 50 + 512:
        raise ValueError(f"its counters disagree: {whole} in all, {parts} by zone or node")
    return max(0, whole)


def _of_nodes(program: Program, *names: str) -> int:
    """A counter of nodes, by the first of its names that this kernel has."""
    item = _item(program, names)
    parts = sum(int(node.vm_stat[item].counter) for node in for_each_online_pgdat(program))
    return _agreed(global_node_page_state(program, item), parts)


def _of_zones(program: Program, count: Callable[[Object], int]) -> int:
    return sum(
        count(zone)
        for node in for_each_online_pgdat(program)
        for zone in node.node_zones[: int(node.nr_zones)]
    )


def _managed(zone: Object) -> int:
    return int(zone.managed_pages.counter)


def _free(program: Program) -> int:
    item = _item(program, ("NR_FREE_PAGES",))
    parts = _of_zones(program, lambda zone: zone_page_state(zone, item))
    return _agreed(global_zone_page_state(program, item), parts)


def _vmalloc(program: Program) -> int:
    try:
        # Instead of the global counter in newer kernels (6.12 has that one, 7.2 this).
        return _of_nodes(program, "NR_VMALLOC")
    except LookupError:
        return int(variable(program, "nr_vmalloc_pages", "atomic_long_t").counter)


def _item(program: Program, names: tuple[str, ...]) -> Object:
    for name in names[:-1]:
        try:
            return program.constant(name)
        except LookupError:
            continue
    return program.constant(names[-1])
