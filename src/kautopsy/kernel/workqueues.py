"""Workqueues: which work the kernel's workers are at, and what waits behind it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.kthread import to_kthread
from drgn.helpers.linux.list import list_for_each

from kautopsy.kernel.census import Brief, census
from kautopsy.kernel.globals import ticks_per_second, variable
from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.stacks import locate
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.tasks import PF_WQ_WORKER, idle_since, now, state_of, task_object
from kautopsy.model.base import Unreadable

_MAX_PENDING = 10_000


class Work(msgspec.Struct, frozen=True):
    """A worker and the work item it is at."""

    pid: Annotated[int, Column("of the worker")]
    comm: Annotated[str, Column("of the worker")]
    task: Annotated[int, Column("its task_struct", unit="address")]
    state: Annotated[str, Column("of the worker")]
    running: Annotated[bool, Column("it was on a CPU")]
    workqueue: Annotated[str, Column("name")]
    function: Annotated[str, Column("of the work item")]
    module: Annotated[str, Column("that the function belongs to, '' for the kernel itself")]
    pool: Annotated[int, Column("number of the worker pool")]
    cpu: Annotated[int, Column("of the pool, -1 if it is not bound to one")]
    at_least: Annotated[int | Unreadable, Column("time at this work: since it last ran", unit="ns")]
    pending: Annotated[int | Unreadable, Column("work items that wait in the pool")]
    inactive: Annotated[int | Unreadable, Column("held back by the queue's max_active")]
    starving: Annotated[
        int | Unreadable, Column("since the pool last took up a work item", unit="ns")
    ]
    used: Annotated[int | Unreadable, Column("CPU time this work has taken", unit="ns")]


@table
def works(program: Program) -> Iterator[Work]:
    """Work items being executed, with what waits behind them."""
    clock = now(program)
    for task, brief in census(program).tasks:
        try:
            if brief.flags is not None and brief.flags & PF_WQ_WORKER:
                worker = Object(program, "struct worker *", int(to_kthread(task).data))
                if worker.current_work and worker.current_pwq:
                    yield _row(program, task, brief, worker, clock)
        except READ_ERRORS:
            continue


def work_at_hand(program: Program, address: int) -> int | None:
    """Address of the function that the worker thread at ``address`` runs, None if it runs none."""
    task = task_object(program, address)
    if not int(task.flags) & PF_WQ_WORKER:
        return None
    return int(Object(program, "struct worker *", int(to_kthread(task).data)).current_func) or None


def _row(program: Program, task: Object, brief: Brief, worker: Object, clock: int) -> Work:
    pool = worker.pool
    where = locate(program, int(worker.current_func))
    queue = worker.current_pwq
    return Work(
        pid=int(task.pid),
        comm=text(task.comm.string_()),
        task=int(task),
        state=state_of(task),
        running=bool(task.on_cpu),
        workqueue=text(queue.wq.name.string_()),
        function=where.function or f"{int(worker.current_func):#x}",
        module=where.module or "",
        pool=int(pool.id),
        cpu=int(pool.cpu),
        at_least=brief.asleep(clock) if not brief.on_cpu else idle_since(task, clock),
        pending=_length(pool.worklist),
        inactive=_inactive(queue),
        starving=readable(lambda: _starving(program, pool)),
        used=readable(lambda: _used(task, worker)),
    )


def _used(task: Object, worker: Object) -> int:
    # Since 616db8779b1e ("workqueue: Automatically mark CPU-hogging work items CPU_INTENSIVE",
    # v6.5) a worker remembers its thread's run time at the start of the work.
    return max(0, int(task.se.sum_exec_runtime) - int(worker.current_at))


def _starving(program: Program, pool: Object) -> int:
    # worker_pool.watchdog_ts; kept without CONFIG_WQ_WATCHDOG too, but not by every kernel.
    jiffies = int(variable(program, "jiffies_64", "unsigned long"))
    ticks = (jiffies - int(pool.watchdog_ts)) % (1 << 64)
    return ticks * 1_000_000_000 // ticks_per_second(program) if ticks < 1 << 40 else 0


def _length(head: Object) -> int | Unreadable:
    try:
        return sum(1 for _ in islice(list_for_each(head.address_of_()), _MAX_PENDING))
    except READ_ERRORS:
        return Unreadable("the list is cut by a missing page")


def _inactive(queue: Object) -> int | Unreadable:
    try:
        return _length(queue.inactive_works)
    except (AttributeError, LookupError):
        # Before f97a4a1a3f87 ("workqueue: Rename 'delayed' (delayed by active management) to
        # 'inactive'", v5.16).
        return _length(queue.delayed_works)
