"""Deadlock: tasks that wait for each other in a circle, or one that waits for itself.

The waits-for graph (kernel/locks.py) has an edge from every task that sleeps in the queue of a
mutex, rwsem, rt_mutex, semaphore or completion to whoever holds or owes it. A cycle that is all
read from owner fields cannot be anything else, once its tasks have slept for a while: all CPUs stop
at nearly the same moment, so a cycle seen in passing would need a lock that changes hands then.
Edges that are inferred (the last reader of an rwsem, code that works on a semaphore) lower the
confidence.

A task that sleeps in a plain wait queue waits for an event, and who would send it is a guess. It
counts where the guess itself waits for what this task holds, and nowhere else.

A deadlock is stable: whoever waits for one of its tasks, directly or through others, is a victim.
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.locks import Edge, Locks, cycles, who
from kautopsy.kernel.waits import LockKind
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

SETTLED = 1_000_000_000
"""Nanoseconds of sleep after which a cycle is no accident of timing."""

_ONE_OF_FOUR = 0.15
"""A guess among four candidates (kernel/locks.py, ``REFERS``) is the least that is followed."""

_MAX_VICTIMS = 20
_EVENTS = (LockKind.COMPLETION, LockKind.WAIT_QUEUE)


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding a cycle."""
    graph = scene.locks
    for cycle in likely_cycles(graph):
        certainty = min(edge.owner.certainty for edge in cycle)
        yield _finding(scene, graph, cycle, certainty)


def likely_cycles(graph: Locks) -> Iterator[tuple[Edge, ...]]:
    """The cycles that are no chance: those that :func:`detect` reports.

    An owner that is one of several candidates counts where the circle is all of settled,
    uninterruptible sleeps and no task of it is in another circle already.
    """
    taken: set[int] = set()
    ordered = sorted(
        cycles((*graph.edges, *graph.event_edges)),
        key=lambda cycle: (-min(e.owner.certainty for e in cycle), len(cycle)),
    )
    for cycle in ordered:
        certainty = min(edge.owner.certainty for edge in cycle)
        members = {edge.wait.task for edge in cycle}
        if certainty < 0.5 and (
            certainty < _ONE_OF_FOUR
            or taken & members
            or any(edge.wait.state != "D" or edge.wait.age < SETTLED for edge in cycle)
        ):
            continue
        taken |= members
        yield cycle


def _confidence(cycle: tuple[Edge, ...], certainty: float) -> float:
    # Two inferred edges that close a circle confirm each other: a guess would rarely fit.
    if certainty < 0.5:
        return 0.55
    base = 0.97 if certainty == 1 else 0.75 + 0.2 * certainty
    if min(edge.wait.age for edge in cycle) < SETTLED:
        base -= 0.4
    return round(base, 2)


def victims(graph: Locks, roots: set[int]) -> list[int]:
    """Tasks that wait for one of ``roots``, directly or through others."""
    found: list[int] = []
    todo = set(roots)
    while todo:
        behind = {
            edge.wait.task
            for edge in graph.edges
            if edge.owner.task in todo and edge.wait.task not in roots
        } - set(found)
        found.extend(sorted(behind))
        todo = behind
    return found


def _bond(edge: Edge) -> str:
    return "to be ended by" if edge.wait.kind in _EVENTS else "held by"


def _advice(cycle: tuple[Edge, ...], blame: Culprit | None) -> str:
    if len(cycle) == 1:
        return f"Look for where {called(blame)} or its callers took it already."
    if any(edge.wait.kind in _EVENTS for edge in cycle):
        return (
            f"Let {called(blame)} release its lock before it waits: who is to end that wait needs "
            "the lock."
        )
    return "Compare the order in which the functions above take these locks; all must agree."


def _finding(scene: Scene, graph: Locks, cycle: tuple[Edge, ...], certainty: float) -> Finding:
    names = {edge.wait.lock: graph.name_of(edge.wait.lock or 0) for edge in cycle}
    sites = {edge.wait.task: scene.blame(edge.wait.task) for edge in cycle}
    # Who waits for an event with a lock held that its sender needs is to blame; among locks, who
    # went to sleep last closed the circle.
    last = min(cycle, key=lambda edge: (edge.wait.kind not in _EVENTS, edge.wait.age))
    blame = sites[last.wait.task] or next((site for site in sites.values() if site), None)
    roots = {edge.wait.task for edge in cycle}
    behind = victims(graph, roots)
    evidence = []
    for edge in cycle:
        owner_pid, owner = who(graph.stacks, edge.owner.task)
        mode = f" for {edge.wait.mode}" if edge.wait.mode else ""
        evidence.append(
            Evidence(
                what=f"{edge.wait.comm} (pid {edge.wait.pid}) waits",
                value=(
                    f"{edge.wait.age / 1e9:.0f} s{mode} in {called(sites[edge.wait.task])} for "
                    f"{edge.wait.kind.value} {names[edge.wait.lock]}, {_bond(edge)} {owner} "
                    f"(pid {owner_pid}; {edge.owner.how})"
                ),
                show=f"bt {edge.wait.pid}",
            )
        )
    roles = [TaskRole(pid=edge.wait.pid, comm=edge.wait.comm, role="waiter") for edge in cycle]
    for task in behind[:_MAX_VICTIMS]:
        pid, comm = who(graph.stacks, task)
        roles.append(TaskRole(pid=pid, comm=comm, role="victim"))
    people = " and ".join(f"{edge.wait.comm} (pid {edge.wait.pid})" for edge in cycle)
    if len(cycle) == 1:
        title = f"{people} waits for a {last.wait.kind.value} that it holds itself"
        how = (
            f"{people} took {last.wait.kind.value} {names[last.wait.lock]} and asked for it again "
            f"in {called(blame)}."
        )
    else:
        title = f"deadlock of {len(cycle)} tasks: {people}"
        how = (
            "Each holds what the next one waits for: "
            + "; ".join(
                f"{edge.wait.comm} waits for {edge.wait.kind.value} {names[edge.wait.lock]} in "
                f"{called(sites[edge.wait.task])}"
                for edge in cycle
            )
            + "."
        )
    behind_text = f" {len(behind)} more tasks wait behind them." if behind else ""
    return Finding(
        kind=Kind.DEADLOCK,
        title=title,
        explanation=f"{how} None of them can ever go on.{behind_text}",
        confidence=_confidence(cycle, certainty),
        severity=Severity.FATAL,
        culprit=blame,
        tasks=tuple(roles),
        evidence=tuple(evidence),
        next=(
            _advice(cycle, blame),
            *(f"Read the backtrace: bt {edge.wait.pid}" for edge in cycle),
        ),
        key="deadlock:"
        + ",".join(
            sorted(
                f"{edge.wait.kind.value}@"
                f"{site.function if (site := sites[edge.wait.task]) else edge.wait.function}"
                for edge in cycle
            )
        ),
    )
