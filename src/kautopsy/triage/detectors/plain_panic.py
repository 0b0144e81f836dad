"""Any other panic(): the kernel, or a module, stopped the machine with a message of its own.

The message says why (triage/reported.py knows the kernel's own: no root file system, init died, a
file system with errors=panic, a watchdog); the culprit is the function that called ``panic``
(kernel/panic.c), helpers skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.model.crash import Frame, Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import detector
from kautopsy.triage.scene import Scene

_EXIT_CODE = re.compile(r"exitcode=(0x[0-9a-f]+)")

# What happened, and what to do first.
_STOPS: dict[Kind, tuple[str, str]] = {
    Kind.PANIC: (
        "decided that the machine could not go on and called panic().",
        "Read the source around the call: the message says what it found.",
    ),
    Kind.INIT_DIED: (
        "Process 1, init, ended. Without it there is no user space, so the kernel stops.",
        "Find out why init ended: a missing library, a bad initramfs, a kill, a crash of its own.",
    ),
    Kind.ROOT_MOUNT_FAILURE: (
        "The kernel could not mount the root file system.",
        "Check root= on the command line, and that the initramfs has the disk's and the file "
        "system's modules.",
    ),
    Kind.FILESYSTEM_PANIC: (
        "A file system found itself damaged and was mounted to panic then (errors=panic).",
        "Read the file system's messages before the panic, check the disk, then fsck.",
    ),
    Kind.WATCHDOG: (
        "A watchdog timer ran out: nobody in user space fed it in time.",
        "Find out what kept the watchdog's daemon: see the tasks and CPUs in this report.",
    ),
}


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
    if crash.kind not in _STOPS:
        return
    happened, advice = _STOPS[crash.kind]
    caller = caller_of_panic(scene.panic_frames)
    blame: Culprit | None = culprit(scene.panic_frames)
    if crash.kind is Kind.PANIC and caller is not None and caller.function is not None:
        blame = culprit((caller,)) or blame
    tasks: tuple[TaskRole, ...] = ()
    if crash.task is not None and crash.task.pid is not None:
        tasks = (TaskRole(pid=crash.task.pid, comm=crash.task.comm, role="panicking"),)
    by = called(blame)
    evidence = [
        Evidence(what="panic message", value=crash.title, show="log | tail"),
        Evidence(what="called from", value=by, show="bt -l"),
    ]
    if crash.kind is Kind.INIT_DIED:
        evidence.extend(_how_init_ended(scene))
    if crash.kind is Kind.PANIC:
        title, explanation = f"panic called by {by}: {crash.title}", f"{by} {happened}"
    else:
        title, explanation = f"{crash.kind.value.replace('-', ' ')}: {crash.title}", happened
    yield Finding(
        kind=crash.kind,
        title=title,
        explanation=explanation,
        confidence=0.9 if blame or crash.kind is not Kind.PANIC else 0.6,
        severity=Severity.FATAL,
        culprit=blame if crash.kind is Kind.PANIC else None,
        tasks=tasks,
        evidence=tuple(evidence),
        next=(advice,),
        key=f"{crash.kind.value}:{blame.function if blame else '?'}",
    )


def _how_init_ended(scene: Scene) -> Iterator[Evidence]:
    """``exitcode`` is wait(2)'s status: the signal in the low 7 bits, else the code above."""
    for line in scene.log_lines:
        if match := _EXIT_CODE.search(line):
            status = int(match[1], 16)
            signal = status & 0x7F
            how = f"killed by signal {signal}" if signal else f"exit code {status >> 8}"
            yield Evidence(what="init ended", value=how, show="log | tail")
            return
