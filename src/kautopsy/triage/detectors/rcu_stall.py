"""RCU stall: a grace period that does not end, and the reader or CPU that holds it up.

``rcu_state.gp_start`` says since when (kernel/rcu/tree.h); the leaves of the ``rcu_node`` tree say
which CPUs have not passed a quiescent state (``qsmask``) and which readers were preempted inside
their critical section (``gp_tasks``). A CPU that does not schedule is a lockup first of all, and is
found by that detector too; the kernel's own report decides which of the two is named.
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.locks import who
from kautopsy.kernel.rcu import GracePeriod, rcu
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
STALLED = 10 * SECOND
"""The kernel complains after 21 s (60 s on some); healthy grace periods take milliseconds."""


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield at most one finding."""
    said = any(crash.kind is Kind.RCU_STALL for crash in scene.told)
    for period in scene.rows(rcu, "RCU's state"):
        if period.running and (period.age >= STALLED or (said and period.age >= 2 * SECOND)):
            yield _finding(scene, period, said)


def _is_borne_out(scene: Scene, held_by: set[int], period: GracePeriod) -> bool:
    """Whether more than a grace period's age, which is but one word, says that it is held up: a
    reader that was preempted, or a CPU that has not switched for seconds.
    """
    ages = [cpu.running for cpu in scene.cpus if cpu.cpu in held_by]
    return bool(period.readers) or any(isinstance(a, int) and a >= STALLED // 4 for a in ages)


def _finding(scene: Scene, period: GracePeriod, said: bool) -> Finding:
    guilty: list[tuple[int, str, str, Culprit | None]] = []
    held_by = {int(cpu) for cpu in period.cpus.split(",") if cpu}
    for cpu in scene.cpus:
        if cpu.cpu in held_by and isinstance(cpu.pid, int) and cpu.context != "idle":
            blame = culprit(scene.cpu_frames(cpu))
            guilty.append((cpu.pid, cpu.comm, f"runs on CPU {cpu.cpu}", blame))
    for reader in period.readers.split(","):
        if reader:
            task = int(reader, 16)
            if task in scene.locks.stacks.sleepers or task in scene.locks.stacks.running:
                pid, comm = who(scene.locks.stacks, task)
                guilty.append((pid, comm, "was preempted as a reader", scene.blame(task)))
    blame = next((one[3] for one in guilty if one[3] is not None), None)
    if not said and not _is_borne_out(scene, held_by, period):
        blame = None
    names = "; ".join(f"{comm} (pid {pid}) {how}, in {called(at)}" for pid, comm, how, at in guilty)
    confidence = (0.92 if said else 0.75) if blame else 0.45
    return Finding(
        kind=Kind.RCU_STALL,
        title=f"RCU's grace period does not end: {called(blame)} holds it up",
        explanation=(
            f"A grace period began {period.age / SECOND:.0f} s ago and cannot end. "
            + (f"It waits for: {names}." if names else "Who it waits for is not known.")
            + " Everything that waits for RCU (freeing memory, unloading modules, unmounting) "
            "hangs with it."
        ),
        confidence=confidence,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=tuple(TaskRole(pid=one[0], comm=one[1], role="culprit") for one in guilty[:8]),
        evidence=(
            Evidence(
                what="grace period",
                value=f"number {period.sequence}, {period.age / SECOND:.1f} s old",
                show="p rcu_state.gp_start",
            ),
            Evidence(what="waits for CPUs", value=period.cpus or "none", show="p rcu_state"),
            *(
                Evidence(what=f"{one[1]} (pid {one[0]})", value=f"in {called(one[3])}", show="bt")
                for one in guilty[:4]
            ),
        ),
        next=("Find the loop inside rcu_read_lock() that does not end.",),
        key=f"rcu-stall:{blame.function if blame else '?'}",
    )
