"""Memory: where it was, and how near the machine was to having none."""

from __future__ import annotations

from collections.abc import Iterator
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
from kautopsy.kernel.reading import READ_ERRORS, readable, text
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
    """Where the memory was; what cannot be read is ``Unreadable``."""
    page = int(program["PAGE_SIZE"])

    def node(*names: str) -> int | Unreadable:
        return readable(lambda: page * max(0, global_node_page_state(program, _item(*names))))

    slab_r = _slab(program, "NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE", page)
    slab_u = _slab(program, "NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE", page)

    def _item(*names: str) -> Object:
        for name in names[:-1]:
            try:
                return program.constant(name)
            except LookupError:
                continue
        return program.constant(names[-1])

    file = node("NR_FILE_PAGES")
    shmem = node("NR_SHMEM")
    if isinstance(file, int) and isinstance(shmem, int):
        file = max(0, file - shmem)
    return MemoryUse(
        total=readable(lambda: page * totalram_pages(program)),
        free=readable(
            lambda: page * max(0, global_zone_page_state(program, _item("NR_FREE_PAGES")))
        ),
        anon=node("NR_ANON_MAPPED"),
        file=file,
        shmem=shmem,
        slab_reclaimable=slab_r,
        slab_unreclaimable=slab_u,
        kernel_stacks=readable(
            lambda: 1024 * max(0, global_node_page_state(program, _item("NR_KERNEL_STACK_KB")))
        ),
        page_tables=node("NR_PAGETABLE"),
        hugetlb=readable(
            lambda: sum(
                int(huge_page_size(state)) * int(state.nr_huge_pages)
                for state in for_each_hstate(program)
            )
        ),
        vmalloc=readable(
            lambda: page * int(variable(program, "nr_vmalloc_pages", "atomic_long_t").counter)
        ),
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


def _slab(program: Program, name: str, older: str, page: int) -> int | Unreadable:
    """Slab memory in bytes.

    The global counters are pages, also under the names they have since d42f3245c7e2 ("mm: memcg:
    convert vmstat slab counters to bytes", v5.9).
    """
    for one in (name, older):
        try:
            return page * max(0, global_node_page_state(program, program.constant(one)))
        except LookupError:
            continue
        except READ_ERRORS as error:
            return Unreadable(str(error))
    return Unreadable("this kernel has no such counter")
