"""A CPU that does not come back: soft lockup (it does not reschedule) or hard (no interrupts).

The kernel's watchdogs (kernel/watchdog.c) say so after 2 × watchdog_thresh seconds, if they are
built in, enabled and, for hard lockups, if the machine has a PMU. An operator is often faster, and
in many guests nothing detects a hard lockup at all. But the dump shows both: ``rq.clock`` moves
with every tick and every switch, and a CPU's timer is set anew at every tick, so a busy CPU whose
clock stands still or whose timer is overdue for seconds takes no interrupts; and
``sched_info.last_arrival`` says since when its task has had the CPU without giving it up. Each of
these is one word, and a word that the dump lost reads as an age: where the kernel did not say it,
two of them must agree, or the CPU time that the task was charged.

A CPU that runs a program in user space, or idles, does nothing wrong; one whose idling ended in an
interrupt that does not return (a timer, a tasklet, NAPI) is as dead as any. One that spins on a
lock is a victim (spinlock.py). One whose interrupts come without end (kernel/storms.py) did nothing
wrong before, whatever they interrupted. One that waits for another CPU to answer an IPI
(``smp_call_function_many_cond``) is the victim of a hard lockup there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.kernel.cpus import Cpu
from kautopsy.kernel.reading import known
from kautopsy.kernel.storms import Storm, storm_on
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.numbers import several
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
SILENT = 4 * SECOND
BUSY = 8 * SECOND
"""Without a switch, in the kernel. The watchdog's own thread takes every CPU each 4 s."""

_SOFT = re.compile(r"soft lockup - CPU#(\d+) stuck for (\d+)s! \[(.*):(\d+)\]")
_HARD = re.compile(r"hard LOCKUP on cpu (\d+)|Watchdog detected hard LOCKUP on cpu (\d+)")
_IPI = ("smp_call_function_many_cond", "smp_call_function_single", "csd_lock_wait")


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding a CPU."""
    soft = {int(m[1]): int(m[2]) for line in scene.log_lines if (m := _SOFT.search(line))}
    hard = {int(m[1] or m[2]) for line in scene.log_lines if (m := _HARD.search(line))}
    spinning = {spin.cpu.cpu for spin in scene.spins}
    for cpu in scene.cpus:
        storm = storm_on(scene.program, cpu)
        if cpu.context in ("user", "idle") and storm is None:
            continue
        said = cpu.cpu in hard
        silent = known(cpu.silent, 0) if said else cpu.dead
        running = cpu.running if isinstance(cpu.running, int) else 0
        if cpu.pid == 0:
            # The clock of an idle CPU stands still before the interrupt that took it, too.
            silent = running if cpu.interrupts is False else 0
        if storm is not None and storm.what:
            yield _drowned(cpu, storm, silent)
        elif said or silent >= SILENT:
            yield _hard(scene, cpu, silent, said, storm)
        elif cpu.cpu in spinning:
            continue
        elif _is_busy(cpu, running) or (cpu.cpu in soft and running >= SECOND):
            yield _soft(scene, cpu, running, soft.get(cpu.cpu))


def _is_busy(cpu: Cpu, running: int) -> bool:
    """Whether its task has not given it up for long, and was charged for a part of that time.

    Only a part: interrupts, and the host of a guest, take theirs. A task whose CPU is in an
    interrupt is charged for nothing.
    """
    if running < BUSY:
        return False
    return cpu.context != "task" or not isinstance(cpu.used, int) or cpu.used >= running // 8


def _roles(cpu: Cpu, role: str) -> tuple[TaskRole, ...]:
    if isinstance(cpu.pid, Unreadable):
        return ()
    return (TaskRole(pid=cpu.pid, comm=cpu.comm, role=role),)


def _drowned(cpu: Cpu, storm: Storm, silent: int) -> Finding:
    blame = None if storm.function is None else culprit((storm.function,))
    one = storm.what.removesuffix("s")
    return Finding(
        kind=Kind.HARD_LOCKUP if silent >= SILENT else Kind.SOFT_LOCKUP,
        title=f"CPU {cpu.cpu} drowns in {storm.what}: {called(blame)} raises them again and again",
        explanation=(
            f"CPU {cpu.cpu} has had {storm.count:,} {storm.what}, {storm.a_second:,} for each "
            f"second of uptime. {called(blame)} is called by the {one} and asks for the next one "
            "at once, so that what the CPU should do gets no time. What was interrupted "
            f"({cpu.comm}, pid {cpu.pid}) is a victim."
        ),
        confidence=0.85 if blame else 0.6,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=_roles(cpu, "victim") if cpu.pid else (),
        evidence=(
            Evidence(
                what=f"{storm.what} of CPU {cpu.cpu}", value=f"{storm.count:,}", show="irq -s"
            ),
            Evidence(what="called each time", value=called(blame), show=f"timer -r -C {cpu.cpu}"),
        ),
        next=(
            f"Read when {called(blame)} wants to be called again: a period of zero, or a time that "
            "has passed already.",
        ),
        key=f"interrupt-storm:{blame.function if blame else '?'}",
    )


def _hard(scene: Scene, cpu: Cpu, silent: int, said: bool, storm: Storm | None) -> Finding:
    frames = scene.cpu_frames(cpu)
    called_by_timer = () if storm is None or storm.function is None else (storm.function,)
    blame = culprit((*called_by_timer, *frames))
    off = {True: "enabled", False: "disabled", None: "unknown"}[cpu.interrupts]
    confidence = 0.95 if said else 0.9 if cpu.interrupts is False else 0.75
    if not said and not frames:
        confidence = 0.45  # what it did is not in the dump
    return Finding(
        kind=Kind.HARD_LOCKUP,
        title=f"CPU {cpu.cpu} took no interrupt for {silent / SECOND:.0f} s in {called(blame)}",
        explanation=(
            f"CPU {cpu.cpu} ran {cpu.comm} (pid {cpu.pid}) in {called(blame)} and its clock stood "
            f"still for {silent / SECOND:.0f} s: it took no timer tick (interrupts {off}). Other "
            "CPUs that wait for it, for an IPI or a lock, are victims."
        ),
        confidence=confidence,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=_roles(cpu, "culprit"),
        evidence=(
            Evidence(
                what=f"CPU {cpu.cpu} without a tick",
                value=f"{silent / SECOND:.1f} s",
                show=f"runq -c {cpu.cpu}",
            ),
            Evidence(what="interrupts", value=off, show=f"bt -c {cpu.cpu}"),
            Evidence(what="was in", value=called(blame), show=f"bt -c {cpu.cpu}"),
        ),
        next=(f"Read why {called(blame)} runs with interrupts off, and what ends its loop.",),
        key=f"hard-lockup:{blame.function if blame else '?'}",
    )


def _soft(scene: Scene, cpu: Cpu, running: int, said: int | None) -> Finding:
    frames = scene.cpu_frames(cpu)
    blame = culprit(frames)
    waits = any(frame.function in _IPI for frame in frames[:4])
    confidence = 0.92 if said is not None else 0.7 if running < 20 * SECOND else 0.85
    if waits:
        confidence = 0.4
    elif said is None and not frames:
        confidence = 0.45  # as above
    for_long = max(running / SECOND, said or 0)
    behind = max(0, cpu.runnable - 1) if isinstance(cpu.runnable, int) else 0
    others = f", while {several(behind, 'other task', 'wait')} to run there" if behind else ""
    return Finding(
        kind=Kind.SOFT_LOCKUP,
        title=f"CPU {cpu.cpu} is stuck in {called(blame)} for {for_long:.0f} s",
        explanation=(
            f"{cpu.comm} (pid {cpu.pid}) has had CPU {cpu.cpu} for {for_long:.0f} s in the kernel, "
            f"in {called(blame)}, without giving it up{others}."
            + (" It waits for another CPU to answer, so it is a victim." if waits else "")
        ),
        confidence=confidence,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=_roles(cpu, "victim" if waits else "culprit"),
        evidence=(
            Evidence(
                what=f"{cpu.comm} has CPU {cpu.cpu}",
                value=f"for {running / SECOND:.1f} s without a switch",
                show=f"runq -t -c {cpu.cpu}",
            ),
            *(
                (Evidence(what="the watchdog said", value=f"stuck for {said}s", show="log"),)
                if said is not None
                else ()
            ),
            Evidence(what="was in", value=called(blame), show=f"bt -c {cpu.cpu}"),
        ),
        next=(
            f"Read what {called(blame)} loops over, and whether the loop can end or reschedule.",
        ),
        key=f"soft-lockup:{blame.function if blame else '?'}",
    )
