"""Workqueue stall: a work item that does not end, and others starve behind it.

Two ways (kernel/workqueue.c). A bound pool runs one work item at a time as long as that one does
not sleep: if it never does, the pool's worklist waits. And a queue with ``max_active`` (1 for an
ordered one) starts no more until those at work end: if one sleeps for ever, the inactive ones wait.

Since v6.5 a pool goes on without a worker that has used its CPU for 10 ms. Then nobody starves, but
a work item that has used up seconds of CPU time and does not end is a loop all the same, only less
surely a bug. A worker that is merely busy with nobody waiting stalls nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.reading import known, readable
from kautopsy.kernel.tasks import task_object
from kautopsy.kernel.workqueues import Work, works
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.detectors.hung_task import grown, reported
from kautopsy.triage.numbers import several
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
HOG = 4 * SECOND
NOTICED = 2 * SECOND
LOOPS = 8 * SECOND
"""CPU time within one work item."""


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding for each work item that others starve behind."""
    blocked = {wait.task for wait in scene.locks.waits}
    named = reported(scene)
    for work in scene.rows(works, "work items"):
        if isinstance(work.at_least, Unreadable):
            continue
        pending = work.pending if isinstance(work.pending, int) else 0
        inactive = work.inactive if isinstance(work.inactive, int) else 0
        starving = work.starving if isinstance(work.starving, int) else 0
        runs = work.running or work.state == "R"
        hogs = max(starving, work.at_least) >= HOG and _charged(scene, work) >= NOTICED
        if runs and work.cpu >= 0 and pending and hogs:
            yield _finding(scene, work, pending, "pool", 0.88)
        elif not runs and inactive and work.at_least >= NOTICED and work.task not in blocked:
            # One that waits for a lock is a victim itself: the waits-for graph knows better.
            confidence = 0.88 if work.pid in named else grown(work.at_least) - 0.05
            yield _finding(scene, work, inactive, "queue", confidence)
        elif runs and isinstance(work.used, int) and work.used >= LOOPS:
            yield _finding(scene, work, pending, "loop", _looping(work.used))


def _charged(scene: Scene, work: Work) -> int:
    """CPU time of the worker, nanoseconds: who keeps a CPU to itself has used it.

    Since when the pool starves is but one word, which the dump may have lost.
    """
    worker = task_object(scene.program, work.task)
    return known(readable(lambda: int(worker.se.sum_exec_runtime)), HOG)


def _looping(used: int) -> float:
    """Confidence that an item of ``used`` ns of CPU time is a loop: 0.65 at 8 s, 0.8 at 60 s."""
    return 0.65 + 0.15 * min(1.0, (used - LOOPS) / (60 * SECOND - LOOPS))


def _finding(scene: Scene, work: Work, starving: int, of: str, confidence: float) -> Finding:
    times = [work.at_least]
    if of != "queue":
        times += [work.starving, work.used]
    seconds = max(time for time in times if isinstance(time, int)) / SECOND
    item = Culprit(function=work.function, module=work.module or None)
    where = scene.blame(work.task)
    behind = f"{several(starving, 'work item', 'wait')} behind it because " + (
        f"it keeps CPU {work.cpu}'s worker pool to itself."
        if of == "pool"
        else "the queue runs no more at a time."
    )
    now = "" if called(where) == called(item) else f", now in {called(where)}"
    inside = f" in {called(item)}" if now else ""
    if of == "loop":
        behind = "It uses its CPU all the time. Other workers of the pool go on without it."
    return Finding(
        kind=Kind.WORKQUEUE_STALL,
        title=f"work {called(item)} of {work.workqueue} does not end"
        + ("" if of == "loop" else f"; {several(starving, 'item', 'starve')}"),
        explanation=(
            f"{work.comm} (pid {work.pid}) has been at {called(item)} of workqueue "
            f"{work.workqueue} for at least {seconds:.0f} s{now}. {behind}"
        ),
        confidence=round(confidence, 2),
        severity=Severity.FATAL,
        culprit=item,
        tasks=(TaskRole(pid=work.pid, comm=work.comm, role="culprit"),),
        evidence=(
            Evidence(
                what="work at hand",
                value=f"{called(item)} of {work.workqueue}, for at least {seconds:.1f} s",
                show=f"bt {work.pid}",
            ),
            Evidence(
                what="waiting in the " + ("queue" if of == "queue" else "pool"),
                value=several(starving, "item"),
                show=f"sql: select * from works where pool = {work.pool}",
            ),
            Evidence(what="now in", value=called(where), show=f"bt -l {work.pid}"),
        ),
        next=(f"Find out what {called(where)} waits for or loops over{inside}.",),
        key=f"workqueue-stall:{work.function}",
    )
