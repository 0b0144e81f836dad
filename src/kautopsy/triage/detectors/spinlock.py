"""A spinlock that is never released: who holds it, while others spin.

A CPU that spins for seconds is a victim, and it is the one that the soft lockup watchdog names. The
lock keeps no owner (kernel/spins.py), so the holder is sought among all tasks: who is inside a
function that works on the lock, or has its address on the stack or in a register, and does not spin
on it (kernel/locks.py, ``candidates``). A holder that sleeps has slept in an atomic section; one
that runs elsewhere is stuck itself, perhaps on a second lock that this victim holds. If there is no
other, the spinner itself, or somebody who is gone, forgot to release it.

Two circles need no second lock. An interrupt that spins on a lock which the code that it
interrupted works on waits for itself: the lock was taken without shutting out interrupts. And who
holds a lock while waiting for a timer's or interrupt's handler to end (``timer_delete_sync``) waits
for ever if that handler, on another CPU, spins on this lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.kernel.cpus import Cpu
from kautopsy.kernel.locks import who
from kautopsy.kernel.spins import Spin
from kautopsy.kernel.stacks import to_frame
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
STUCK = 3 * SECOND
"""Nobody may hold a spinlock that long; a busy machine's contention lasts microseconds."""

# What waits, spinning, for a handler on another CPU to end (kernel/time/{timer,hrtimer}.c,
# kernel/softirq.c, kernel/irq_work.c, kernel/irq/manage.c).
_WAITS_FOR_HANDLER = re.compile(
    r"(__)?(timer_delete|del_timer|timer_shutdown)_sync|timer_sync_wait_running"
    r"|hrtimer_cancel(_wait_running)?|tasklet_(kill|unlock_(spin_)?wait|disable)|irq_work_sync"
    r"|(__)?synchronize_(hard)?irq|disable_irq|free_irq"
)
_IN_INTERRUPT = ("irq", "softirq")


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding a lock."""
    by_lock: dict[int | None, list[Spin]] = {}
    for spin in scene.spins:
        if spin.age >= STUCK:
            by_lock.setdefault(spin.lock, []).append(spin)
    holders = {lock: _holders(scene, lock, spins) for lock, spins in by_lock.items()}
    spinners = {spin.cpu.task: spin for spins in by_lock.values() for spin in spins}
    reported: set[int | None] = set()
    for lock, spins in by_lock.items():
        if lock in reported:
            continue
        inside = [spin for spin in spins if _waits_for_itself(scene, spin)]
        if inside:
            reported.add(lock)
            yield _interrupted(scene, inside[0], spins)
            continue
        for spin in spins:
            other = next((spinners[task] for task in holders[lock] if task in spinners), None)
            if (
                other is not None
                and other.lock != lock
                and spin.cpu.task in holders.get(other.lock, ())
            ):
                reported |= {lock, other.lock}
                yield _abba(scene, spin, other)
                break
        else:
            reported.add(lock)
            around = _handler_waited_for(scene, spins, holders[lock])
            if around is not None:
                yield _around_handler(scene, *around)
                continue
            yield _stuck(scene, lock, spins, holders[lock])


def _holders(scene: Scene, lock: int | None, spins: list[Spin]) -> tuple[int, ...]:
    if lock is None:
        return ()
    waiting = {spin.cpu.task for spin in scene.spins if spin.lock == lock}
    return tuple(owner.task for owner in scene.locks.candidates(lock, waiting))


def _waits_for_itself(scene: Scene, spin: Spin) -> bool:
    return (
        spin.lock is not None
        and spin.cpu.context in _IN_INTERRUPT
        and scene.locks.is_worked_on_in(spin.lock, spin.interrupted)
    )


def _handler_waited_for(
    scene: Scene, spins: list[Spin], holders: tuple[int, ...]
) -> tuple[Spin, Cpu] | None:
    """The spinning handler and the CPU that holds its lock and waits for its end, if that is so."""
    handlers = [spin for spin in spins if spin.cpu.context in _IN_INTERRUPT]
    for cpu in scene.cpus:
        if handlers and cpu.task in holders:
            for frame in scene.cpu_frames(cpu)[:4]:
                if _WAITS_FOR_HANDLER.fullmatch(frame.function or ""):
                    return handlers[0], cpu
    return None


def _spin_evidence(scene: Scene, spin: Spin) -> Evidence:
    where = f" at {spin.lock:#x}" if spin.lock is not None else ""
    return Evidence(
        what=f"CPU {spin.cpu.cpu} spins",
        value=(
            f"{spin.cpu.comm} (pid {spin.cpu.pid}) for up to {spin.age / SECOND:.0f} s in "
            f"{called(scene.blame(spin.cpu.task))} on the lock{where}"
        ),
        show=f"bt -c {spin.cpu.cpu}",
    )


def _role(spin: Spin, role: str) -> TaskRole:
    pid = spin.cpu.pid if isinstance(spin.cpu.pid, int) else 0
    return TaskRole(pid=pid, comm=spin.cpu.comm, role=role)


def _abba(scene: Scene, first: Spin, second: Spin) -> Finding:
    one, two = (scene.blame(spin.cpu.task) for spin in (first, second))
    locks = [scene.locks.name_of(spin.lock or 0) for spin in (first, second)]
    return Finding(
        kind=Kind.DEADLOCK,
        title=f"CPUs {first.cpu.cpu} and {second.cpu.cpu} spin on each other's spinlock",
        explanation=(
            f"{called(one)} on CPU {first.cpu.cpu} spins on {locks[0]}, which {called(two)} on CPU "
            f"{second.cpu.cpu} works on while it spins on {locks[1]}, and the other way round: two "
            "spinlocks taken in opposite order. Neither can ever go on."
        ),
        confidence=0.88,
        severity=Severity.FATAL,
        culprit=one or two,
        tasks=(_role(first, "waiter"), _role(second, "waiter")),
        evidence=(_spin_evidence(scene, first), _spin_evidence(scene, second)),
        next=(
            "Compare the order in which both functions take the two locks; it must be the same.",
        ),
        key="deadlock:"
        + ",".join(sorted(f"spinlock@{site.function if site else '?'}" for site in (one, two))),
    )


def _interrupted(scene: Scene, spin: Spin, spins: list[Spin]) -> Finding:
    handler = scene.blame(spin.cpu.task)
    holder = culprit(to_frame(scene.program, frame) for frame in spin.interrupted)
    name = scene.locks.name_of(spin.lock or 0)
    return Finding(
        kind=Kind.SPINLOCK_STUCK,
        title=(
            f"an interrupt on CPU {spin.cpu.cpu} spins on spinlock {name}, which what it "
            "interrupted holds"
        ),
        explanation=(
            f"{called(holder)} on CPU {spin.cpu.cpu} ({spin.cpu.comm}, pid {spin.cpu.pid}) works "
            f"on spinlock {name}. An interrupt came in between, and its {called(handler)} spins "
            "on the same lock: the interrupted code cannot go on before the interrupt ends, and "
            "the interrupt cannot end before the lock is released. The lock was taken without "
            "shutting out interrupts."
        ),
        confidence=0.85,
        severity=Severity.FATAL,
        culprit=holder or handler,
        tasks=(
            _role(spin, "owner"),
            *(_role(one, "victim") for one in spins if one is not spin),
        ),
        evidence=(
            *(_spin_evidence(scene, one) for one in spins),
            Evidence(
                what="what was interrupted",
                value=f"{called(holder)}: works on the lock",
                show=f"bt -c {spin.cpu.cpu}",
            ),
        ),
        next=(
            f"Take the lock with spin_lock_irqsave() or spin_lock_bh() in {called(holder)}, as a "
            "lock that interrupts take too must be.",
        ),
        key=f"spinlock-stuck:{holder.function if holder else '?'}",
    )


def _around_handler(scene: Scene, spin: Spin, cpu: Cpu) -> Finding:
    handler = scene.blame(spin.cpu.task)
    holder = culprit(scene.cpu_frames(cpu))
    name = scene.locks.name_of(spin.lock or 0)
    pid = cpu.pid if isinstance(cpu.pid, int) else 0
    return Finding(
        kind=Kind.DEADLOCK,
        title=(
            f"{called(holder)} waits with spinlock {name} held for {called(handler)}, which spins "
            "on it"
        ),
        explanation=(
            f"{called(holder)} on CPU {cpu.cpu} ({cpu.comm}, pid {pid}) works on spinlock {name} "
            f"and waits for a handler on another CPU to end. {called(handler)} on CPU "
            f"{spin.cpu.cpu}, in an interrupt, spins on that lock. Neither can ever go on."
        ),
        confidence=0.85,
        severity=Severity.FATAL,
        culprit=holder or handler,
        tasks=(TaskRole(pid=pid, comm=cpu.comm, role="owner"), _role(spin, "waiter")),
        evidence=(
            _spin_evidence(scene, spin),
            Evidence(
                what="waits for the handler",
                value=f"{cpu.comm} (pid {pid}), in {called(holder)}",
                show=f"bt -c {cpu.cpu}",
            ),
        ),
        next=(
            f"Release the lock before {called(holder)} waits for the handler, or cancel without "
            "waiting.",
        ),
        key=f"deadlock:spinlock@{holder.function if holder else '?'},"
        f"handler@{handler.function if handler else '?'}",
    )


def _stuck(scene: Scene, lock: int | None, spins: list[Spin], holders: tuple[int, ...]) -> Finding:
    name = "a spinlock" if lock is None else f"spinlock {scene.locks.name_of(lock)}"
    victim = max(spins, key=lambda spin: spin.age)
    roles = [_role(spin, "victim") for spin in spins]
    evidence = [_spin_evidence(scene, spin) for spin in spins]
    sleeping = [task for task in holders if task in scene.locks.stacks.sleepers]
    holder = holders[0] if len(holders) == 1 else sleeping[0] if len(sleeping) == 1 else None
    if holder is None:
        blame = scene.blame(victim.cpu.task)
        confidence = 0.6
        say = "Several tasks are inside code that works on this lock; one of them holds it."
        if not holders and scene.locks_are_partial:
            confidence = 0.45
            say = "Who holds it is not seen, but not all tasks are in the dump."
        elif not holders:
            confidence = 0.75
            say = (
                "No other task is inside code that works on this lock: it was taken and never "
                f"released, on an earlier path through {called(blame)} or its neighbours."
            )
        for task in holders[:8]:
            pid, comm = who(scene.locks.stacks, task)
            roles.append(TaskRole(pid=pid, comm=comm, role="suspect"))
    else:
        pid, comm = who(scene.locks.stacks, holder)
        blame = scene.holder(holder, scene.blame(victim.cpu.task))
        asleep = holder in sleeping
        doing = "sleeps" if asleep else "is itself busy on another CPU"
        say = f"{comm} (pid {pid}) works on this lock in {called(blame)} and {doing}" + (
            ": it sleeps with a spinlock held, which is never allowed." if asleep else "."
        )
        # Where tasks are missing, another one may be inside that code too.
        confidence = 0.6 if scene.locks_are_partial else 0.85
        roles.insert(0, TaskRole(pid=pid, comm=comm, role="owner"))
        evidence.append(
            Evidence(
                what="holder",
                value=f"{comm} (pid {pid}), in {called(blame)}: works on the lock, {doing}",
                show=f"bt {pid}",
            )
        )
    return Finding(
        kind=Kind.SPINLOCK_STUCK,
        title=f"{name} is never released; CPU {victim.cpu.cpu} spins on it",
        explanation=(
            f"{victim.cpu.comm} (pid {victim.cpu.pid}) has been spinning on {name} for up to "
            f"{victim.age / SECOND:.0f} s. It is the victim. {say}"
        ),
        confidence=confidence,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=tuple(roles),
        evidence=tuple(evidence),
        next=("Look for a path that leaves with the lock held, or sleeps under it.",),
        key=f"spinlock-stuck:{blame.function if blame else '?'}",
    )
