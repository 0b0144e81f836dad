"""Completions that a known task owes to whoever waits for them.

A completion keeps no owner, but some live where it is known who completes them:

* ``flush_work()`` and ``cancel_work_sync()`` wait for one that a barrier behind the work carries:
  the worker that runs the work owes it (kernel/workqueue.c, ``struct wq_barrier``);
* ``flush_workqueue()``, ``drain_workqueue()`` and ``destroy_workqueue()`` wait for the one of their
  ``struct wq_flusher`` (``first_flusher``, ``flusher_queue`` and ``flusher_overflow`` of the
  queue): all workers that run work of the queue owe it together;
* ``kthread_stop()`` waits for the thread (``struct kthread.exited``);
* vfork() for the child (``task_struct.vfork_done``).
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.kthread import to_kthread
from drgn.helpers.linux.list import list_for_each_entry

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import PF_KTHREAD, PF_WQ_WORKER
from kautopsy.kernel.waits import Stacks

VFORK = "the vfork child"
WORKER = "the worker that runs the work"
QUEUE = "a worker that runs work of the queue"

Debt = tuple[int, int, str]
"""(address of the completion, of the task that owes it, how it is known)"""


def debts(stacks: Stacks) -> Iterator[Debt]:
    """Every completion whose debtor is known, as far as the dump can tell."""
    workers: dict[int, list[int]] = {}
    tasks = [(one.address, one.task) for one in stacks.sleepers.values()]
    for address, task in (*tasks, *stacks.running.items()):
        try:
            if vfork := int(task.vfork_done):
                yield vfork, address, VFORK
        except READ_ERRORS:
            pass
        try:
            flags = int(task.flags)
            if not flags & PF_KTHREAD:
                continue
            kthread = to_kthread(task)
            yield int(kthread.exited.address_of_()), address, "the thread to stop"
            if flags & PF_WQ_WORKER:
                worker = Object(stacks.program, "struct worker *", int(kthread.data))
                if worker.current_func:
                    queue = int(worker.current_pwq.wq)
                    workers.setdefault(queue, []).append(address)
                    yield from _barriers(stacks, address, worker)
        except READ_ERRORS:
            continue
    for queue, busy in workers.items():
        try:
            yield from _flushers(stacks, queue, busy)
        except READ_ERRORS:
            continue


def _barriers(stacks: Stacks, address: int, worker: Object) -> Iterator[Debt]:
    barrier = stacks.program.type("struct wq_barrier")
    for work in list_for_each_entry("struct work_struct", worker.scheduled.address_of_(), "entry"):
        if "wq_barrier_func" in stacks.names(int(work.func) + 1):
            found = Object(stacks.program, barrier, address=int(work))
            yield int(found.done.address_of_()), address, WORKER


def _flushers(stacks: Stacks, queue: int, busy: list[int]) -> Iterator[Debt]:
    wq = Object(stacks.program, "struct workqueue_struct", address=queue)
    flushers = [wq.first_flusher] if wq.first_flusher else []
    for head in (wq.flusher_queue, wq.flusher_overflow):
        flushers.extend(list_for_each_entry("struct wq_flusher", head.address_of_(), "list"))
    for flusher in flushers:
        done = int(flusher.done.address_of_())
        for worker in busy:
            yield done, worker, QUEUE
