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
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.census import census
from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.tasks import Names, stack_bytes, words_of
from kautopsy.model.base import Unreadable

_REMOVERS = frozenset(
    {"del_gendisk", "__del_gendisk", "blk_mq_freeze_queue_wait", "blk_cleanup_queue"}
)
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

    Whoever waits there has the disk or its queue on the stack, and either leads back to itself
    (``request_queue.disk``, since d152c682f03c ("block: add an explicit ->disk backpointer to the
    request_queue", v5.15)). The slab cache of queues would tell too, but to find its objects takes
    a walk over all of memory.
    """
    everybody, names = census(program), Names(program)
    for task, brief in everybody.tasks:
        if brief.pointer is None or not brief.stack or everybody.state(task, brief) != "D":
            continue
        words = words_of(stack_bytes(program, brief.pointer, brief.stack))
        if not any(names(word) in _REMOVERS for word in words):
            continue
        for word in dict.fromkeys(word for word in words if word >> 63 and not word % 8):
            disk = _disk_at(program, word)
            if disk is not None and int(disk.queue) not in seen:
                seen.add(int(disk.queue))
                yield disk


def _disk_at(program: Program, address: int) -> Object | None:
    """``struct gendisk *``, if it or its queue is at ``address``."""
    try:
        disk = Object(program, "struct gendisk *", address)
        if disk.queue.disk == disk:
            return disk
    except READ_ERRORS:
        pass
    try:
        queue = Object(program, "struct request_queue *", address)
        return queue.disk.read_() if queue.disk.queue == queue else None
    except READ_ERRORS:
        return None


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
