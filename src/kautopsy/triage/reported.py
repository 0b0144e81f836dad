"""What was reported: the crash as the kernel itself told it, and who pulled the trigger.

The dump's own log goes through the same engine as console text does, so that one crash has one
kind, title and fingerprint whichever way it came home. The stack and the registers in the dump are
asked too: they give the backtrace, they know sysrq-c on any kernel, and they are all there is where
the log is lost.
"""

from __future__ import annotations

import msgspec
from drgn.helpers.linux.module import for_each_module
from drgn.helpers.linux.sched import task_cpu

from kautopsy.fingerprint import fingerprint
from kautopsy.kernel.cpus import running_stack, stopped_at
from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.stacks import kernel_frames
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Frame, Kind, TaskRef, Trigger
from kautopsy.model.report import System
from kautopsy.oops.crashes import read_text
from kautopsy.triage.culprit import guilty_frame
from kautopsy.triage.scene import Scene

_OPERATOR = (Kind.OPERATOR_SYSRQ, Kind.OPERATOR_NMI)


def asked_for_by_sysrq(frames: tuple[Frame, ...]) -> bool:
    """Whether the backtrace goes through sysrq-c, by panic() or by the NULL write before v4.20."""
    return any(frame.function == "sysrq_handle_crash" for frame in frames)


def classify(message: str | None, told: tuple[Crash, ...]) -> tuple[Kind, Trigger | None]:
    """Kind and trigger from the panic message; where that only says "fatal", from the log.

    :param message: as :func:`~kautopsy.kernel.system.panic_message` gives it
    :param told: the crashes that the log tells of, oldest first
    """
    kind: Kind = Kind.UNKNOWN
    trigger: Trigger | None = None
    if message is not None:
        for line in (message, f"Kernel panic - not syncing: {message}"):
            said = tuple(read_text(line))
            if said:
                kind, trigger = said[-1].kind, said[-1].trigger
                break
    if kind is Kind.UNKNOWN:
        oops = next((one for one in reversed(told) if one.trigger is Trigger.OOPS), None)
        if oops is not None and oops.kind is not Kind.UNKNOWN:
            return oops.kind, Trigger.OOPS
    return kind, trigger


def told(scene: Scene) -> tuple[Crash, ...]:
    """The crashes in the dump's log, oldest first."""
    if isinstance(scene.log, Unreadable):
        return ()
    return tuple(read_text("\n".join(str(record) for record in scene.log)))


def reported(scene: Scene, system: System) -> Crash:
    """The crash as reported: by the log where there is one, and by registers and stack."""
    frames = scene.panic_frames
    message = None if isinstance(system.panic, Unreadable) else system.panic
    kind, trigger = classify(message, scene.told)
    if asked_for_by_sysrq(frames):
        kind, trigger = Kind.OPERATOR_SYSRQ, Trigger.SYSRQ
    text_crash = scene.told[-1] if scene.told else None
    if text_crash is not None and kind not in _OPERATOR:
        kind = text_crash.kind
        trigger = trigger or text_crash.trigger
    if scene.panic_task is None and message is None:
        # Nobody pulled a trigger: somebody took a picture of a machine that still ran, or hung.
        trigger = None
    pid, comm, cpu = _where(scene)
    modules = readable(
        lambda: tuple(text(module.name.string_()) for module in for_each_module(scene.program))
    )
    crash = Crash(
        kind=kind,
        title=_title(message, frames) if text_crash is None else text_crash.title,
        titles=() if text_crash is None else text_crash.titles,
        trigger=trigger,
        corrupted=False if text_crash is None else text_crash.corrupted,
        corrupted_reason=None if text_crash is None else text_crash.corrupted_reason,
        cpu=cpu,
        task=None if scene.panic_task is None else TaskRef(pid=pid, comm=comm),
        instruction=None if text_crash is None else text_crash.instruction,
        frames=frames
        or (() if text_crash is None else text_crash.frames)
        or (() if scene.has_types else scene.raw_frames),
        registers=_registers(scene) or ({} if text_crash is None else text_crash.registers),
        modules=() if isinstance(modules, Unreadable) else modules,
        tainted=() if isinstance(system.tainted, Unreadable) else system.tainted,
        release=None if isinstance(system.release, Unreadable) else system.release,
        hardware=None if text_crash is None else text_crash.hardware,
    )
    known = fingerprint(crash) if text_crash is None else text_crash.fingerprint
    return msgspec.structs.replace(crash, fingerprint=known)


def _title(message: str | None, frames: tuple[Frame, ...]) -> str:
    title = message or "no panic: the dump was taken from outside, or its log is lost"
    guilty = guilty_frame(frames)
    if guilty is None or guilty.function is None or guilty.function in title:
        return title
    return f"{title} in {guilty.function}"


def _where(scene: Scene) -> tuple[int | None, str, int | None]:
    """Pid, comm and CPU of the task that was running where the kernel stopped."""
    task = scene.panic_task
    if task is None:
        return None, "", None
    pid = readable(lambda: int(task.pid))
    comm = readable(lambda: text(task.comm.string_()))
    cpu = readable(lambda: task_cpu(task))
    return (
        None if isinstance(pid, Unreadable) else pid,
        str(comm),
        None if isinstance(cpu, Unreadable) else cpu,
    )


def _registers(scene: Scene) -> dict[str, int]:
    """Registers where the fault or the interrupt that stopped the machine came; {} if neither."""
    task = scene.panic_task
    stack = None if task is None else running_stack(scene.program, task)
    if stack is None:
        return {}
    try:
        frames = list(kernel_frames(stack))
        start = stopped_at(frames)
        if not frames or not start or not frames[start].interrupted:
            return {}
        return dict(frames[start].registers())
    except READ_ERRORS:
        return {}
