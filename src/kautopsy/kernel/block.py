"""Block requests in flight: what each disk still owes, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.block import (
    blk_rq_bytes,
    blk_rq_pos,
    disk_name,
    for_each_disk,
    op_is_write,
    req_op,
    request_queue_busy_iter,
)
from drgn.helpers.linux.slab import find_slab_cache, slab_cache_for_each_allocated_object
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

# enum mq_rq_state (include/linux/blk-mq.h)
_STATES = ("idle", "in flight", "complete")


class BlockRequest(msgspec.Struct, frozen=True):
    """One request that was started and has not ended."""

    device: Annotated[str, Column("name of the disk")]
    address: Annotated[int, Column("of the struct request", unit="address")]
    write: Annotated[bool | Unreadable, Column("writes, discards and flushes")]
    sector: Annotated[int | Unreadable, Column("where it starts, in sectors of 512 bytes")]
    size: Annotated[int | Unreadable, Column("left to do", unit="bytes")]
    state: Annotated[str, Column("idle (queued), in flight or complete")]
    age: Annotated[int | Unreadable, Column("since it was allocated", unit="ns")]
    driver: Annotated[str, Column("function that was given it (blk_mq_ops.queue_rq)")]
    module: Annotated[str, Column("of the driver, '' for the kernel itself")]


@table
def block_requests(program: Program) -> Iterator[BlockRequest]:
    """Requests that multi-queue block drivers (blk-mq) have not completed."""
    clock = readable(lambda: int(ktime_get_coarse_ns(program)))
    seen: set[int] = set()
    for disk in for_each_disk(program):
        seen.add(int(disk.queue))
        yield from _of_disk(program, disk, clock)
    for disk in _leaving(program, seen):
        yield from _of_disk(program, disk, clock)


def _of_disk(program: Program, disk: Object, clock: int | Unreadable) -> Iterator[BlockRequest]:
    try:
        name = text(disk_name(disk))
        driver, module = queue_driver(program, disk.queue)
        for request in request_queue_busy_iter(disk.queue):
            yield _row(request, name, clock, driver, module)
    except READ_ERRORS:
        # A disk of a driver without blk-mq, or one whose queue the dump lacks.
        return


def _leaving(program: Program, seen: set[int]) -> Iterator[Object]:
    """Disks that are being removed: ``del_gendisk()`` takes them off the list, then waits for I/O.

    What is left of them is their queue (``request_queue.disk``, since d152c682f03c ("block: add an
    explicit ->disk backpointer to the request_queue", v5.15)).
    """
    try:
        cache = find_slab_cache(program, "request_queue")
        if cache is None:
            return
        for queue in slab_cache_for_each_allocated_object(cache, "struct request_queue"):
            if int(queue) not in seen and queue.disk:
                yield queue.disk
    except (*READ_ERRORS, AttributeError):
        return


def queue_driver(program: Program, queue: Object) -> tuple[str, str]:
    """Function and module of who is given the requests of ``queue``; '' where not known."""
    from kautopsy.kernel.stacks import locate

    try:
        frame = locate(program, int(queue.mq_ops.queue_rq))
    except READ_ERRORS:
        return "", ""
    return frame.function or "", frame.module or ""


def _row(
    request: Object, name: str, clock: int | Unreadable, driver: str, module: str
) -> BlockRequest:
    state = readable(lambda: int(request.state))

    def age() -> int:
        if isinstance(clock, Unreadable):
            raise ValueError(clock.unreadable)
        started = int(request.start_time_ns) or int(request.io_start_time_ns)
        if not started:
            raise ValueError("the queue keeps no times")
        return max(0, clock - started)

    return BlockRequest(
        device=name,
        address=int(request),
        write=readable(lambda: bool(op_is_write(req_op(request)))),
        sector=readable(lambda: int(blk_rq_pos(request))),
        size=readable(lambda: int(blk_rq_bytes(request))),
        state=_STATES[state] if isinstance(state, int) and state < len(_STATES) else "?",
        age=readable(age),
        driver=driver,
        module=module,
    )
