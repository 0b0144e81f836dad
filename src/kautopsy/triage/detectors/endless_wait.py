"""Waits that never end, though no single sleep is long: the kernel's own loops that complain.

Some code waits by looking again and again, a moment's sleep in between, and says so in the log when
that takes too long. No task is ever asleep for seconds then, so no rule about long sleeps sees it.
A complaint counts while a task is still inside of the loop that made it; one that is over does not.

One such loop says nothing: ``tasklet_kill()`` waits until a tasklet that was scheduled has run. One
that is disabled (``tasklet_struct.count``) never runs; the softirq schedules it again and again,
which keeps ksoftirqd busy and wakes up who waits each time (kernel/softirq.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object

from kautopsy.kernel.locks import who
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import locate
from kautopsy.kernel.tasks import plain
from kautopsy.model.crash import Frame, Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.numbers import several
from kautopsy.triage.scene import Scene


@dataclass(frozen=True)
class _Complaint:
    """A line of the log, the loops that print it, and what it means (groups of the line)."""

    line: re.Pattern[str]
    loops: frozenset[str]
    means: str
    advice: str


_COMPLAINTS = (
    # net/core/dev.c, netdev_wait_allrefs(): every 10 s
    _Complaint(
        re.compile(r"unregister_netdevice: waiting for (\S+) to become free"),
        frozenset({"netdev_wait_allrefs", "netdev_wait_allrefs_any", "netdev_run_todo"}),
        "The network device {0} is to go, but something still refers to it.",
        "Look for who holds {0}: a route, a neighbour, a socket, an interface stacked on it.",
    ),
    # kernel/workqueue.c, drain_workqueue(): at 10 tries, and at every 100
    _Complaint(
        re.compile(r"workqueue (\S+): \w+\(\) isn't complete after \d+ tries"),
        frozenset({"drain_workqueue", "__drain_workqueue"}),
        "Workqueue {0} is to become empty, but its work queues itself again.",
        "Find the work of {0} that queues itself, and stop it before the queue is drained.",
    ),
)


_TASKLET_KILL = frozenset({"tasklet_kill"})
_TASKLET_STATE_SCHED = 1
_MAX_DISABLED = 64
_DEPTH = 96
"""Words of a stack in which tasklet_kill() has kept its argument."""


@detector(Need.LOG, Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding for each kind of complaint of which a task is still in the loop."""
    for complaint in _COMPLAINTS:
        said = [m for line in scene.log_lines if (m := complaint.line.search(line))]
        if not said:
            continue
        inside = next(_inside(scene, complaint.loops), None)
        if inside is not None:
            yield _finding(scene, complaint, said, *inside)
    # It sleeps uninterruptibly or, before da044747401f ("tasklets: Replace spin wait in
    # tasklet_kill()", v5.13), yields its CPU again and again.
    for task, frames in _inside(scene, _TASKLET_KILL, "DR"):
        disabled = _disabled_tasklet(scene, task)
        if disabled is not None:
            yield _killing(scene, task, culprit(frames), *disabled)


def _inside(
    scene: Scene, loops: frozenset[str], states: str = ""
) -> Iterator[tuple[int, tuple[Frame, ...]]]:
    """Tasks with one of ``loops`` on their stack, and the frames outside of it.

    :param states: those in which they can wait there, if that is known: most tasks sleep in others
    """
    stacks = scene.locks.stacks
    for sleeper in stacks.sleepers.values():
        if states and sleeper.state not in states:
            continue
        if any(plain(stacks.names(word) or "") in loops for word in sleeper.words):
            yield from _outside(sleeper.address, scene.frames(sleeper.address), loops)
    for cpu in scene.cpus:
        yield from _outside(cpu.task, scene.cpu_frames(cpu), loops)


def _outside(
    task: int, frames: tuple[Frame, ...], loops: frozenset[str]
) -> Iterator[tuple[int, tuple[Frame, ...]]]:
    at = [n for n, frame in enumerate(frames) if plain(frame.function or "") in loops]
    if at:
        yield task, frames[at[-1] + 1 :]


def _disabled_tasklet(scene: Scene, task: int) -> tuple[int, Frame] | None:
    """A tasklet that is scheduled and disabled, and its function, among a sleeper's pointers."""
    sleeper = scene.locks.stacks.sleepers.get(task)
    for word in dict.fromkeys(sleeper.words[:_DEPTH] if sleeper is not None else ()):
        if word % 8 or not word >> 63:
            continue
        try:
            tasklet = Object(scene.program, "struct tasklet_struct *", word)
            count = int(tasklet.count.counter)
            if int(tasklet.state) & ~3 == 0 and int(tasklet.state) & _TASKLET_STATE_SCHED:
                frame = locate(scene.program, int(tasklet.func))
                if 0 < count < _MAX_DISABLED and frame.function and frame.offset == 0:
                    return count, frame
        except READ_ERRORS:
            continue
    return None


def _killing(
    scene: Scene, task: int, blame: Culprit | None, count: int, function: Frame
) -> Finding:
    pid, comm = who(scene.locks.stacks, task)
    tasklet = called(culprit((function,)))
    return Finding(
        kind=Kind.HUNG_TASK,
        title=f"{comm} (pid {pid}) waits in {called(blame)} for a tasklet that is disabled",
        explanation=(
            f"{comm} (pid {pid}), in {called(blame)}, called tasklet_kill() and waits until the "
            f"tasklet of {tasklet} has run. It was scheduled and then disabled "
            f"{several(count, 'time')}, so it never runs: the softirq puts it off again and again, "
            "and the wait never ends. A CPU is kept busy by that."
        ),
        confidence=0.85,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=(TaskRole(pid=pid, comm=comm, role="waiter"),),
        evidence=(
            Evidence(
                what="the tasklet",
                value=f"of {tasklet}: scheduled, disabled {several(count, 'time')}",
                show="struct tasklet_struct",
            ),
            Evidence(what="waits in", value="tasklet_kill()", show=f"bt {pid}"),
        ),
        next=(f"Enable the tasklet before tasklet_kill() in {called(blame)}.", f"bt -l {pid}"),
        key=f"hung-task:tasklet_kill@{blame.function if blame else '?'}",
    )


def _finding(
    scene: Scene,
    complaint: _Complaint,
    said: list[re.Match[str]],
    task: int,
    frames: tuple[Frame, ...],
) -> Finding:
    pid, comm = who(scene.locks.stacks, task)
    blame = culprit(frames)
    of = said[-1].groups()
    return Finding(
        kind=Kind.HUNG_TASK,
        title=f"{comm} (pid {pid}) waits without end in {called(blame)}: {said[-1][0]}",
        explanation=(
            f"{complaint.means.format(*of)} {comm} (pid {pid}), in {called(blame)}, has looked "
            f"again and again; the kernel has complained {several(len(said), 'time')}."
        ),
        confidence=0.75 if len(said) > 1 else 0.6,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=(TaskRole(pid=pid, comm=comm, role="waiter"),),
        evidence=(
            Evidence(what="the kernel said", value=said[-1][0], show="log"),
            Evidence(what="still in the loop", value=f"{comm} (pid {pid})", show=f"bt {pid}"),
        ),
        next=(complaint.advice.format(*of), f"bt -l {pid}"),
        key=f"hung-task:{blame.function if blame else '?'}",
    )
