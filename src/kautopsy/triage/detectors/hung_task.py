"""Hung tasks: who keeps them waiting.

A task in D (uninterruptible sleep) for seconds waits for something that does not come. Whoever is
named by khungtaskd (kernel/hung_task.c) is usually a victim: the waits-for graph leads from it to
the task at the end of the chain, which waits for nothing that anybody holds. If that one sleeps,
runs or never wakes up, what it does there is the cause: a mutex held across a wait for the network,
a completion that nobody completes, a work item that does not end.

A mutex or rwsem says who took it, and only that. If nothing on that task's stack has to do with the
lock, it returned without giving it back and went on with its life, or it ended and another task was
born in its place: where it sleeps now is not the cause, and the waiter's code has to be read.

Not every D is a hang: ``msleep()`` and timed waits sleep in D too (their frames say so), direct I/O
wakes up twice per hung-task timeout (``blk_io_schedule``), and kernel threads wait for RCU or for
work on all CPUs as a part of life. So a lone kernel thread must sleep far longer to count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.kernel.debts import VFORK
from kautopsy.kernel.locks import Edge, Locks, who
from kautopsy.kernel.mounts import mounts
from kautopsy.kernel.tasks import plain
from kautopsy.kernel.waits import LockKind, Sleeper, Wait
from kautopsy.model.crash import Frame, Kind
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.detectors.deadlock import likely_cycles, victims
from kautopsy.triage.numbers import several
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
NOTICED = 2 * SECOND
"""A wait shorter than this is the life of a busy machine."""
LONG = 20 * SECOND
MOVING = 10 * SECOND
"""A wait for somebody who goes on, as people do in a long queue, must be longer to count."""
TIMEOUT = 120 * SECOND
"""kernel.hung_task_timeout_secs, as delivered."""

_TIMED = frozenset(
    {
        "msleep",
        "msleep_interruptible",
        "schedule_timeout_uninterruptible",
        "schedule_timeout_interruptible",
        "schedule_timeout_killable",
        "usleep_range_state",
        "usleep_range",
        "schedule_hrtimeout_range",
        "do_nanosleep",
        "hrtimer_nanosleep",
    }
)
# Timed sleeps that begin again until what they wait for has come: a free element (mm/mempool.c,
# 5 s each). How long it has been so is not known; that it is so now is.
_RENEWED = frozenset({"mempool_alloc", "mempool_alloc_noprof", "mempool_alloc_bulk_noprof"})
_INNERMOST = 12
_NEAR = 96
"""Words of a stack in which its innermost functions return."""
# sb_start_write() and its kind take a per-CPU rwsem that freeze_super() holds (fs/super.c).
_FREEZING = frozenset({"percpu_rwsem_wait", "__percpu_down_read", "__sb_start_write"})
# Where the kernel waits for an answer from outside of it, by function and module, which may be
# built in (fs/fuse/dev.c, net/sunrpc/sched.c, fs/smb/client/transport.c, net/9p/client.c,
# fs/ceph/mds_client.c, drivers/usb/core/message.c, kernel/umh.c).
_OUTSIDE: dict[str, tuple[str | None, str]] = {
    "request_wait_answer": ("fuse", "a file system in user space (FUSE): its server process"),
    "rpc_wait_bit_killable": ("sunrpc", "a server across the network (NFS, or what else is RPC)"),
    "wait_for_response": ("cifs", "a file server across the network (SMB)"),
    "p9_client_rpc": ("9pnet", "a file server outside (9P: mostly this guest's host)"),
    "ceph_mdsc_wait_request": ("ceph", "a metadata server across the network (Ceph)"),
    "usb_start_wait_urb": ("usbcore", "a USB device"),
    "call_usermodehelper_exec": (None, "a program in user space that the kernel started"),
}
_REPORTED = re.compile(
    r"INFO: task (.{1,15}):(\d+) (?:<.*> )?(?:is )?blocked .*for more than (\d+)"
)
_MAX_ROLES = 20
_KEPT = (LockKind.MUTEX, LockKind.RWSEM)
"""Locks that keep an owner whom a stack can confirm."""
_C_TYPES = {
    LockKind.RWSEM: "struct rw_semaphore",
    LockKind.PERCPU_RWSEM: "struct percpu_rw_semaphore",
    LockKind.PAGE: "struct page",
    LockKind.BIT: "rd",
}
"""What to look at a lock with, where it is not called in C as it is in prose."""
_PF_KTHREAD = 0x0020_0000


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding for each task at the end of a chain of waits."""
    graph = scene.locks
    dead = {edge.wait.task for cycle in likely_cycles(graph) for edge in cycle}
    behind_dead = set(victims(graph, dead)) | dead
    named = reported(scene)
    going_on = {edge.wait.task for edge in graph.edges if edge.owner.certainty >= 0.5}
    explained = set(behind_dead)
    explained.update(edge.wait.task for edge in graph.edges if edge.owner.how == VFORK)
    roots: dict[int, list[Edge]] = {}
    for edge in graph.edges:
        if edge.owner.task in going_on or edge.owner.certainty < 0.5 or _is_idle(edge):
            continue
        if edge.wait.task not in behind_dead:
            roots.setdefault(edge.owner.task, []).append(edge)
    for root, edges in roots.items():
        behind = [*dict.fromkeys(edge.wait.task for edge in edges)]
        behind += [task for task in victims(graph, {root}) if task not in behind]
        explained.update(behind)
        explained.add(root)
        finding = _held(scene, graph, root, edges, behind, named)
        if finding is not None:
            yield finding
    alike: dict[str, list[Sleeper]] = {}
    for sleeper in graph.stacks.sleepers.values():
        again = sleeper.state == "D" and _is_renewed(scene, sleeper)
        is_old = sleeper.age >= NOTICED or sleeper.pid in named or again
        if sleeper.state == "D" and is_old and sleeper.address not in explained:
            ends = sleeper.pid not in named and not again and is_timed(scene, sleeper)
            if scene.frames(sleeper.address) and not ends:
                # Thousands may hang in one place: that is one finding.
                alike.setdefault(called(scene.blame(sleeper.address)), []).append(sleeper)
    for crowd in alike.values():
        crowd.sort(key=lambda one: (one.pid not in named, -one.age))
        yield _alone(scene, graph, crowd, named)


def _is_idle(edge: Edge) -> bool:
    """Whether this is how tasks wait for something to do, or a parent for its child."""
    if edge.owner.how == VFORK:
        return True
    counts_events = edge.wait.kind in (LockKind.COMPLETION, LockKind.SEMAPHORE)
    return counts_events and edge.wait.state != "D"


def reported(scene: Scene) -> dict[int, int]:
    """Tasks that khungtaskd named: pid to seconds."""
    found = {}
    for line in scene.log_lines:
        if match := _REPORTED.search(line):
            found[int(match[2])] = int(match[3])
    return found


def is_timed(scene: Scene, sleeper: Sleeper) -> bool:
    """Whether the sleep ends by itself: the code asked for a time, not for an event.

    ``schedule_timeout()`` keeps a ``struct process_timer`` on the stack (kernel/time/timer.c:
    ``timer_list`` entry, expires, function, flags; then the task), in a list while it runs.
    """
    if any(frame.function in _TIMED for frame in scene.frames(sleeper.address)[:6]):
        return True
    words, names = sleeper.words, scene.locks.stacks.names
    return any(
        words[at + 2] == sleeper.address
        and words[at - 2]
        and names(words[at] + 1) == "process_timeout"
        for at in range(2, len(words) - 2)
    )


def _is_renewed(scene: Scene, sleeper: Sleeper) -> bool:
    """Whether the sleep is one of a row whose beginning is not known."""
    names = scene.locks.stacks.names
    if not any(plain(names(word) or "") in _RENEWED for word in sleeper.words[:_NEAR]):
        return False  # which spares unwinding thousands of stacks
    frames = scene.frames(sleeper.address)[:6]
    return any(plain(frame.function or "") in _RENEWED for frame in frames)


def grown(age: int) -> float:
    """Confidence that a wait of ``age`` nanoseconds is no passing one: 0.6 at 2 s, 0.9 at 120 s."""
    if age < NOTICED:
        return 0.3
    if age < LONG:
        return 0.6 + 0.2 * (age - NOTICED) / (LONG - NOTICED)
    return min(0.9, 0.8 + 0.1 * (age - LONG) / (TIMEOUT - LONG))


def _held(
    scene: Scene,
    graph: Locks,
    root: int,
    edges: list[Edge],
    behind: list[int],
    named: dict[int, int],
) -> Finding | None:
    oldest = max(edges, key=lambda edge: edge.wait.age)
    age = oldest.wait.age
    pid, comm = who(graph.stacks, root)
    pids = {who(graph.stacks, task)[0] for task in (root, *behind)}
    confidence = grown(age)
    if pids & named.keys():
        confidence = 0.9
    confidence = round(confidence * (0.85 + 0.15 * oldest.owner.certainty), 2)
    if age < NOTICED and not pids & named.keys():
        return None
    blame = scene.holder(root, scene.blame(oldest.wait.task))
    lock = graph.name_of(oldest.wait.lock or 0)
    left = oldest.wait.kind in _KEPT and not graph.works_on(root, oldest.wait.lock or 0)
    if not left and age < MOVING and not pids & named.keys() and _went_on(scene, root, age):
        confidence = 0.4
    sleeper = graph.stacks.sleepers.get(root)
    if sleeper is None:
        doing = f"runs in {called(blame)}"
    elif sleeper.state == "R":
        doing = f"is ready to run, in {called(blame)}"
    else:
        how = "in a timed sleep" if is_timed(scene, sleeper) else "asleep"
        stopped = "stopped" if sleeper.state in ("T", "t") else how
        doing = f"has been {stopped} in {called(blame)} for {sleeper.age / SECOND:.0f} s"
    look = "The task to look at is the holder, not those it blocks."
    outside = "" if left else _outside(scene.frames(root))
    if left:
        look = (
            "But nothing on its stack has to do with this lock: it returned with the lock held, or "
            "the task that took it ended and this one was born in its place. Read the code that "
            "takes the lock."
        )
        # That it hangs is as sure as before, and that a holder who was stopped lets nobody on.
        if sleeper is None or sleeper.state not in ("T", "t"):
            confidence = round(0.9 * confidence, 2)
        blame = scene.blame(oldest.wait.task)
    roles = [TaskRole(pid=pid, comm=comm, role="owner")]
    for task in behind[:_MAX_ROLES]:
        victim_pid, victim = who(graph.stacks, task)
        roles.append(TaskRole(pid=victim_pid, comm=victim, role="waiter"))
    wait = oldest.wait
    return Finding(
        kind=Kind.HUNG_TASK,
        title=(
            f"{several(len(behind), 'task', 'hang')} on a {wait.kind.value} held by {comm} "
            f"(pid {pid})"
        ),
        explanation=(
            f"{comm} (pid {pid}) holds {wait.kind.value} {lock} and {doing}. "
            f"{several(len(behind), 'task', 'wait')} for it, the longest ({wait.comm}, pid "
            f"{wait.pid}) for {age / SECOND:.0f} s. {look}"
            + (f" It waits for {outside}, which does not answer." if outside else "")
        ),
        confidence=confidence,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=tuple(roles),
        evidence=(
            Evidence(
                what=f"{wait.kind.value} {lock}",
                value=f"held by {comm} (pid {pid}): {oldest.owner.how}",
                show=f"{_c_type(wait.kind)} {wait.lock:#x}" if wait.lock else "",
            ),
            Evidence(what="the holder", value=doing, show=f"bt {pid}"),
            Evidence(
                what="longest wait",
                value=f"{wait.comm} (pid {wait.pid}), {age / SECOND:.0f} s, in {wait.function}",
                show=f"bt {wait.pid}",
            ),
        ),
        next=(
            f"Look at {outside}." if outside else f"Read what the holder waits for: bt -l {pid}",
            f"Find the path that leaves with the lock of {called(blame)} held."
            if left
            else f"Look at where the holder waits: bt -l {pid}"
            if outside
            else f"Ask whether {called(blame)} may sleep with this lock held, and for how long.",
        ),
        key=f"hung-task:{wait.kind.value}@{blame.function if blame else '?'}",
    )


def _c_type(kind: LockKind) -> str:
    return _C_TYPES.get(kind, f"struct {kind.value}")


def _outside(frames: tuple[Frame, ...]) -> str:
    """Who outside of the kernel owes the answer that a task waits for, '' if nobody is known to."""
    for frame in frames[:_INNERMOST]:
        module, who_else = _OUTSIDE.get(plain(frame.function or ""), (None, ""))
        if who_else and frame.module in (None, module):
            return who_else
    return ""


def _went_on(scene: Scene, holder: int, age: int) -> bool:
    """Whether ``holder`` has run since the first waiter, ``age`` nanoseconds ago, went to sleep.

    It may have taken the lock a moment ago then: in a long queue everybody waits for seconds.
    """
    sleeper = scene.locks.stacks.sleepers.get(holder)
    if sleeper is not None:
        return sleeper.age < age
    since = next((cpu.running for cpu in scene.cpus if cpu.task == holder), None)
    return isinstance(since, int) and since < age


def _alone(scene: Scene, graph: Locks, crowd: list[Sleeper], named: dict[int, int]) -> Finding:
    sleeper = crowd[0]
    is_named = sleeper.pid in named
    frames = scene.frames(sleeper.address)
    blame = scene.blame(sleeper.address)
    confidence = 0.85 if is_named else grown(sleeper.age) - 0.05
    is_thread = int(sleeper.task.flags) & _PF_KTHREAD
    if not is_named and is_thread and (blame is None or blame.module is None):
        # The kernel's own threads wait for each other for honest reasons.
        confidence -= 0.25
    wait = next((one for one in graph.waits if one.task == sleeper.address), None)
    if not is_named and _is_renewed(scene, sleeper):
        # Nobody sleeps there at all unless an allocation has failed.
        confidence = 0.6 if sleeper.age >= NOTICED else 0.52
    if not is_named and not sleeper.state_is_borne_out:
        confidence = min(confidence, 0.45)
    frozen = _frozen(scene, frames)
    outside = _outside(frames)
    others = (
        f" {several(len(crowd) - 1, 'other task', 'hang')} in the same place." if crowd[1:] else ""
    )
    return Finding(
        kind=Kind.HUNG_TASK,
        title=f"{sleeper.comm} (pid {sleeper.pid}) hangs in {called(blame)}"
        + (f", and {len(crowd) - 1} more" if len(crowd) > 1 else ""),
        explanation=(
            f"{sleeper.comm} (pid {sleeper.pid}) has been in uninterruptible sleep for "
            f"{sleeper.age / SECOND:.0f} s in {called(blame)}, waiting for {_what(graph, wait)}. "
            + (
                f"The file system at {frozen} is frozen, and writers wait until it is thawed."
                if frozen
                else f"It waits for {outside}, which does not answer."
                if outside
                else _nobody(graph, wait)
            )
            + others
        ),
        confidence=round(max(confidence, 0.0), 2),
        severity=Severity.FATAL if confidence >= 0.5 else Severity.WARNING,
        culprit=blame,
        tasks=tuple(
            TaskRole(pid=one.pid, comm=one.comm, role="waiter") for one in crowd[:_MAX_ROLES]
        ),
        evidence=(
            Evidence(
                what="state",
                value=f"D for {sleeper.age / SECOND:.0f} s",
                show=f"ps -m {sleeper.pid}",
            ),
            Evidence(what="waits in", value=called(blame), show=f"bt {sleeper.pid}"),
            *((Evidence(what="frozen file system", value=frozen, show="mount"),) if frozen else ()),
            *(
                (
                    Evidence(
                        what="khungtaskd said",
                        value=f"blocked for more than {named[sleeper.pid]} seconds",
                        show="log | grep blocked",
                    ),
                )
                if is_named
                else ()
            ),
        ),
        next=(
            f"Look at {outside}."
            if outside
            else f"Find who should have ended the wait in {called(blame)}, and why it did not.",
            f"bt -l {sleeper.pid}",
        ),
        key=f"hung-task:{blame.function if blame else '?'}",
    )


def _nobody(graph: Locks, wait: Wait | None) -> str:
    gone = None if wait is None else graph.dead_owner(wait)
    if gone is not None:
        return (
            f"Its owner field says {gone:#x}, which is not a task that can have taken it: whoever "
            "did ended without giving it back."
        )
    late = "Whoever should wake this task up has forgotten it, or cannot."
    if wait is None or wait.kind is LockKind.COMPLETION:
        return late
    return f"Nobody is known to hold it. {late}"


def _frozen(scene: Scene, frames: tuple[Frame, ...]) -> str:
    """Where frozen file systems are mounted, if the task waits to write to one."""
    if not any(frame.function in _FREEZING for frame in frames):
        return ""
    return ", ".join(
        str(mount.target)
        for mount in scene.rows(mounts, "mounts")
        if isinstance(mount.frozen, str) and mount.frozen != "no"
    )


def _what(graph: Locks, wait: Wait | None) -> str:
    if wait is None or wait.lock is None:
        return "an event"
    return f"{wait.kind.value} {graph.name_of(wait.lock)}"
