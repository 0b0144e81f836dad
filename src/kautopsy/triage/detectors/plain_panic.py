"""Any other panic(): the kernel, or a module, stopped the machine with a message of its own.

The culprit is the function that called ``panic`` (kernel/panic.c), generic helpers skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.model.crash import Frame, Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.detector import detector
from kautopsy.triage.scene import Scene


def caller_of_panic(frames: tuple[Frame, ...]) -> Frame | None:
    """The first frame outside ``panic`` itself."""
    seen = False
    for frame in frames:
        if frame.function in ("panic", "vpanic"):
            seen = True
        elif seen and not frame.inline:
            return frame
    return None


@detector()
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield at most one finding."""
    crash = scene.crash
    if crash.kind is not Kind.PANIC:
        return
    caller = caller_of_panic(scene.panic_frames)
    culprit = None
    by = "the kernel"
    if caller is not None and caller.function is not None:
        culprit = Culprit(
            function=caller.function, module=caller.module, file=caller.file, line=caller.line
        )
        by = f"{caller.function}()" + (f" of module {caller.module}" if caller.module else "")
    tasks: tuple[TaskRole, ...] = ()
    if crash.task is not None and crash.task.pid is not None:
        tasks = (TaskRole(pid=crash.task.pid, comm=crash.task.comm, role="panicking"),)
    yield Finding(
        kind=Kind.PANIC,
        title=f"panic called by {by}: {crash.title}",
        explanation=f"{by} decided that the machine could not go on and called panic().",
        confidence=0.9 if culprit else 0.6,
        severity=Severity.FATAL,
        culprit=culprit,
        tasks=tasks,
        evidence=(
            Evidence(what="panic message", value=crash.title, show="log | tail"),
            Evidence(what="called from", value=by, show="bt -l"),
        ),
        next=("Read the source around the call: the message says what it found.",),
    )
