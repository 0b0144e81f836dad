"""The facts behind a report's pictures: CPUs, waits, and the backtraces of those that matter."""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.cpus import Cpu
from kautopsy.kernel.locks import Edge, cycles, who
from kautopsy.kernel.waits import LockKind as Found
from kautopsy.kernel.waits import Wait
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import TaskRef
from kautopsy.model.finding import Finding
from kautopsy.model.machine import BacktraceOf, CpuContext, CpuState, LockKind, WaitEdge
from kautopsy.triage.culprit import culprit
from kautopsy.triage.scene import Scene

MAX_WAITS = 200
MAX_BACKTRACES = 24
SECOND = 1_000_000_000
_SILENT = 2 * SECOND

_KINDS = {
    Found.MUTEX: LockKind.MUTEX,
    Found.SEMAPHORE: LockKind.SEMAPHORE,
    Found.RT_MUTEX: LockKind.RT_MUTEX,
    Found.COMPLETION: LockKind.COMPLETION,
    Found.SPINLOCK: LockKind.SPINLOCK,
    Found.PERCPU_RWSEM: LockKind.PERCPU_RWSEM,
    Found.PAGE: LockKind.PAGE,
    Found.BIT: LockKind.BIT,
    Found.WAIT_QUEUE: LockKind.WAIT_QUEUE,
}


def cpu_states(scene: Scene) -> tuple[CpuState, ...]:
    """One state for each CPU present."""
    crashed = scene.crash.cpu
    return tuple(_cpu_state(scene, cpu, cpu.cpu == crashed) for cpu in scene.cpus)


def _cpu_state(scene: Scene, cpu: Cpu, crashed: bool) -> CpuState:
    contexts = {context.value: context for context in CpuContext}
    frames = scene.cpu_frames(cpu)
    pid = None if isinstance(cpu.pid, Unreadable) else cpu.pid
    notes = []
    spin = next((spin for spin in scene.spins if spin.cpu.cpu == cpu.cpu), None)
    if spin is not None:
        notes.append("spins on a lock")
    if pid and cpu.dead >= _SILENT:
        notes.append(f"no tick for {cpu.dead / SECOND:.0f} s")
    if cpu.interrupts is False and pid and not crashed:
        notes.append("interrupts off")
    return CpuState(
        cpu=cpu.cpu,
        context=contexts.get(cpu.context, CpuContext.TASK if pid else CpuContext.UNKNOWN),
        task=None if pid is None else TaskRef(pid=pid, comm=cpu.comm),
        function=cpu.function or None,
        module=frames[0].module if frames else None,
        runnable=None if isinstance(cpu.runnable, Unreadable) else cpu.runnable,
        crashed=crashed,
        note=", ".join(notes),
    )


def wait_edges(scene: Scene) -> tuple[WaitEdge, ...]:
    """Who waits for whom, those of a cycle first, then the longest."""
    graph = scene.locks
    circles = cycles((*graph.edges, *graph.event_edges))
    circle = {(edge.wait.task, edge.owner.task) for cycle in circles for edge in cycle}
    events = (e for e in graph.event_edges if (e.wait.task, e.owner.task) in circle)
    edges = (*graph.edges, *events)
    owned = {edge.wait.task for edge in edges}
    drawn = [
        _edge(scene, edge.wait, edge, (edge.wait.task, edge.owner.task) in circle) for edge in edges
    ]
    drawn += [
        _edge(scene, wait, None, False)
        for wait in graph.waits
        if wait.task not in owned and wait.state == "D"
    ]
    drawn += list(_spins(scene))
    drawn.sort(key=lambda edge: (not edge.cycle, -(edge.seconds or 0.0)))
    return tuple(drawn[:MAX_WAITS])


def _edge(scene: Scene, wait: Wait, edge: Edge | None, in_cycle: bool) -> WaitEdge:
    owner = None
    if edge is not None:
        pid, comm = who(scene.locks.stacks, edge.owner.task)
        owner = TaskRef(pid=pid, comm=comm)
    kind = _KINDS.get(wait.kind, LockKind.OTHER)
    if wait.kind is Found.RWSEM:
        kind = LockKind.RWSEM_READ if wait.mode == "read" else LockKind.RWSEM_WRITE
    blame = scene.blame(wait.task)
    return WaitEdge(
        waiter=TaskRef(pid=wait.pid, comm=wait.comm),
        lock=kind,
        name=None if wait.lock is None else scene.locks.name_of(wait.lock),
        address=wait.lock,
        owner=owner,
        function=blame.function if blame else wait.function,
        seconds=wait.age / SECOND,
        cycle=in_cycle,
    )


def _spins(scene: Scene) -> Iterator[WaitEdge]:
    for spin in scene.spins:
        if isinstance(spin.cpu.pid, Unreadable):
            continue
        blame = culprit(scene.cpu_frames(spin.cpu))
        yield WaitEdge(
            waiter=TaskRef(pid=spin.cpu.pid, comm=spin.cpu.comm),
            lock=LockKind.SPINLOCK,
            name=None if spin.lock is None else scene.locks.name_of(spin.lock),
            address=spin.lock,
            function=blame.function if blame else None,
            seconds=spin.age / SECOND,
        )


def backtraces(scene: Scene, findings: tuple[Finding, ...]) -> tuple[BacktraceOf, ...]:
    """Backtraces of the tasks that findings name, the crashed one left out."""
    crashed = scene.crash.task.pid if scene.crash.task is not None else None
    roles: dict[int, str] = {}
    for finding in findings:
        for task in finding.tasks:
            roles.setdefault(task.pid, task.role)
    roles.pop(crashed or -1, None)
    sleepers = {one.pid: one for one in scene.locks.stacks.sleepers.values()}
    on_cpu = {cpu.pid: cpu for cpu in scene.cpus if cpu.pid}
    found: list[BacktraceOf] = []
    for pid, role in list(roles.items())[:MAX_BACKTRACES]:
        if pid in sleepers:
            one = sleepers[pid]
            frames = scene.frames(one.address)
            found.append(
                BacktraceOf(
                    task=TaskRef(pid=pid, comm=one.comm),
                    role=role,
                    frames=frames or Unreadable("its stack is not in the dump"),
                    state=one.state,
                    seconds=one.age / SECOND,
                )
            )
        elif pid in on_cpu:
            cpu = on_cpu[pid]
            found.append(
                BacktraceOf(
                    task=TaskRef(pid=pid, comm=cpu.comm),
                    role=role,
                    frames=scene.cpu_frames(cpu) or Unreadable("its registers are not in the dump"),
                    state="R",
                    cpu=cpu.cpu,
                    seconds=cpu.running / SECOND if isinstance(cpu.running, int) else None,
                )
            )
    return tuple(found)
