"""Kernel stacks that were overrun: the magic number at the end of each.

The last word of a task's stack, its lowest, is ``STACK_END_MAGIC`` (``set_task_stack_end_magic()``,
kernel/fork.c; include/uapi/linux/magic.h). The scheduler looks at it only with
CONFIG_SCHED_STACK_END_CHECK and only when that task switches; a stack that ran over on a kernel
without guard pages, or into which somebody else wrote, may kill the machine elsewhere first. In the
dump all of them can be looked at.

The magic is one word, and one word may be the dump's loss. A stack that ran over is used up to its
end: calls were made there, and their return addresses still stand above the lost word. A kernel
whose stacks have a guard page (CONFIG_VMAP_STACK, x86 since v4.9) faults before one can run over,
and says so; without a word of it in the log the magic was overwritten by somebody, or by nobody.
So there only the stacks are looked at that were in use when the machine stopped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from drgn import Program, sizeof
from drgn.helpers.linux.pid import find_task

from kautopsy.kernel.census import census
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

_NEAR_END = 64
"""Words above the magic in which calls at the end of a stack leave their return addresses."""
_CALLS = 3
MAGIC = 0x57AC6E9D
_MOST = 8
"""More broken stacks than that are no overflow: this kernel keeps its magic elsewhere."""


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding for each stack whose end was overwritten."""
    below = _thread_info(scene.program)
    guarded = scene.program.type("struct task_struct").has_member("stack_vm_area")
    broken: list[tuple[int, int, int, bool]] = []
    sleepers = scene.locks.stacks.sleepers
    for task, brief in census(scene.program).tasks:
        sleeper = sleepers.get(task.value_())
        if guarded and not brief.on_cpu:
            continue
        if not brief.stack or not (brief.on_cpu or (sleeper and sleeper.raw)):
            continue  # its pointer leads elsewhere: the task itself is damaged
        end = brief.stack + below
        try:
            found = scene.program.read_u64(end)
        except READ_ERRORS:
            continue
        if found != MAGIC:
            ran_over = not guarded and _was_used(scene, end + 8)
            broken.append((brief.pid or 0, end, found, ran_over))
            if len(broken) > _MOST:
                return
    for pid, end, found, ran_over in broken:
        yield _finding(scene, pid, end, found, ran_over=ran_over)


def _was_used(scene: Scene, above: int) -> bool:
    """Whether calls have left their return addresses above the end of a stack."""
    try:
        words = struct.unpack(f"={_NEAR_END}Q", scene.program.read(above, 8 * _NEAR_END))
    except READ_ERRORS:
        return False
    return sum(1 for word in words if scene.locks.stacks.names(word)) >= _CALLS


def _thread_info(program: Program) -> int:
    """Bytes between a stack's lowest address and its end's magic.

    ``struct thread_info`` lay there before c65eacbe290b ("sched/core: Allow putting thread_info
    into task_struct", v4.9).
    """
    kind = program.type("struct task_struct")
    if kind.has_member("thread_info"):
        return 0
    return int(sizeof(program.type("struct thread_info")))


def _finding(scene: Scene, pid: int, end: int, found: int, *, ran_over: bool) -> Finding:
    """:param ran_over: more than the lost word says so"""
    task = find_task(scene.program, pid)
    comm = task.comm.string_().decode(errors="backslashreplace") if task else ""
    blame = scene.blame(int(task)) if task else None
    return Finding(
        kind=Kind.STACK_OVERFLOW,
        title=f"the end of the stack of {comm} (pid {pid}) was overwritten",
        explanation=(
            f"The kernel stack of {comm} (pid {pid}) has lost the magic number at its end: it ran "
            f"over, or somebody wrote there. The task is in {called(blame)}. What lies below the "
            "stack may be damaged too."
        ),
        confidence=0.8 if ran_over else 0.45,
        severity=Severity.FATAL,
        culprit=blame,
        tasks=(TaskRole(pid=pid, comm=comm, role="culprit"),),
        evidence=(
            Evidence(
                what="end of its stack",
                value=f"{found:#018x} at {end:#x} instead of {MAGIC:#x}",
                show=f"rd {end:#x}",
            ),
        ),
        next=(f"Look for recursion and large local variables: bt {pid}",),
        key=f"stack-overflow:{blame.function if blame else '?'}",
    )
