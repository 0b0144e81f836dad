"""When memory that the kernel holds is called a leak, though nobody lacks any yet."""

from __future__ import annotations

import msgspec

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind
from kautopsy.model.machine import Consumer, ConsumerKind, MemoryUse
from kautopsy.triage.detectors.out_of_memory import _eaters, _suspicion

MIB = 1 << 20
WELL = MemoryUse(
    total=1000 * MIB,
    free=600 * MIB,
    anon=100 * MIB,
    file=200 * MIB,
    shmem=0,
    slab_reclaimable=40 * MIB,
    slab_unreclaimable=30 * MIB,
    kernel_stacks=MIB,
    page_tables=MIB,
    hugetlb=0,
)


def cache(name: str, size: int) -> Consumer:
    return Consumer(kind=ConsumerKind.SLAB, name=name, bytes=size, count=1)


def test_a_machine_that_is_well() -> None:
    assert not list(_suspicion(WELL, 1000 * MIB))


def test_a_cache_that_cannot_be_shrunk() -> None:
    held = msgspec.structs.replace(
        WELL, free=90 * MIB, slab_unreclaimable=540 * MIB, largest=(cache("conns", 520 * MIB),)
    )
    [found] = _suspicion(held, 1000 * MIB)
    assert found.kind is Kind.MEMORY_LEAK
    assert "conns" in found.title
    assert 0.5 <= found.confidence < 0.8


def test_a_large_cache_that_can_be_shrunk_is_no_leak() -> None:
    held = msgspec.structs.replace(
        WELL, free=90 * MIB, slab_reclaimable=550 * MIB, largest=(cache("dentry", 540 * MIB),)
    )
    assert not list(_suspicion(held, 1000 * MIB))


def test_what_cannot_be_read_is_not_called_unexplained() -> None:
    damaged = msgspec.structs.replace(WELL, free=10 * MIB, file=Unreadable("missing page"))
    assert not any("no counter" in eater.what for eater in _eaters(damaged))


def test_caches_of_one_thing_are_told_by_their_number() -> None:
    def many(name: str, size: int, count: int) -> Consumer:
        return Consumer(kind=ConsumerKind.SLAB, name=name, bytes=size, count=count)

    largest = (
        many("kmalloc-4k", 520 * MIB, 130_000),
        many("skbuff_head_cache", 32 * MIB, 129_400),
        many("dentry", 20 * MIB, 90_000),
    )
    held = msgspec.structs.replace(
        WELL, free=90 * MIB, slab_unreclaimable=590 * MIB, largest=largest
    )
    [found] = _suspicion(held, 1000 * MIB)
    assert [one.value for one in found.evidence if "as many" in one.what] == ["skbuff_head_cache"]
