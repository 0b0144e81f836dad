"""What was reported: the crash as the kernel itself told it, and who pulled the trigger.

The dump's own log goes through the same engine as console text does, so that one crash has one
kind, title and fingerprint whichever way it came home. The stack and the registers in the dump are
asked too: they give the backtrace, they know sysrq-c on any kernel, and they are all there is where
the log is lost.
"""

from __future__ import annotations

import re

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

# What panic() was told → what was reported and by whom. The strings are the kernel's own, from the
# files named; the first that matches counts.
_PANICS: tuple[tuple[re.Pattern[str], Kind, Trigger], ...] = tuple(
    (re.compile(pattern), kind, trigger)
    for pattern, kind, trigger in (
        # drivers/tty/sysrq.c, since 8341f2f222d7 ("sysrq: Use panic() to force a crash", v4.20)
        (r"^sysrq triggered crash", Kind.OPERATOR_SYSRQ, Trigger.SYSRQ),
        # kernel/watchdog.c, kernel/watchdog_perf.c
        (r"^softlockup: hung tasks", Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP),
        (r"[Hh]ard LOCKUP", Kind.HARD_LOCKUP, Trigger.HARD_LOCKUP),
        # kernel/hung_task.c
        (r"^hung_task: blocked tasks", Kind.HUNG_TASK, Trigger.HUNG_TASK),
        # mm/oom_kill.c
        (
            r"^Out of memory|^System is deadlocked on memory",
            Kind.OUT_OF_MEMORY,
            Trigger.OUT_OF_MEMORY,
        ),
        # kernel/rcu/tree_stall.h
        (r"^RCU Stall", Kind.RCU_STALL, Trigger.PANIC),
        # kernel/workqueue.c, since v6.19 ("workqueue: Add panic_on_stall")
        (r"^workqueue: ", Kind.WORKQUEUE_STALL, Trigger.WATCHDOG),
        # arch/x86/kernel/nmi.c: what hardware reports through port 0x61, and the rest
        (r"^NMI (IOCK|SERR)|^NMI: (IOCK|SERR)|PCI system error", Kind.HARDWARE_NMI, Trigger.NMI),
        # drivers/watchdog/hpwdt.c
        (r"^An NMI occurred", Kind.HARDWARE_NMI, Trigger.NMI),
        (r"^NMI: Not continuing", Kind.OPERATOR_NMI, Trigger.NMI),
        # arch/x86/kernel/cpu/mce/core.c, drivers/acpi/apei/ghes.c
        (
            r"[Mm]achine check|^Timeout: Not all CPUs entered|^Fatal hardware error",
            Kind.MACHINE_CHECK,
            Trigger.MACHINE_CHECK,
        ),
        # drivers/watchdog/softdog.c, watchdog_pretimeout.c
        (r"^Software Watchdog|^watchdog pretimeout", Kind.WATCHDOG, Trigger.WATCHDOG),
        # kernel/exit.c, init/main.c, init/do_mounts.c
        (r"^Attempted to kill (init|the idle task)", Kind.INIT_DIED, Trigger.PANIC),
        (r"^No working init found|^Requested init", Kind.INIT_DIED, Trigger.PANIC),
        (r"^VFS: Unable to mount root", Kind.ROOT_MOUNT_FAILURE, Trigger.PANIC),
        # fs/ext4/super.c and ext2, fs/xfs, fs/btrfs/messages.c, fs/fat/misc.c, fs/jfs
        (
            r"^EXT\d-fs .*panic|^XFS .*|^BTRFS panic|^FAT-fs .*panic|^JFS .*panic|^NILFS .*panic"
            r"|^[A-Z0-9a-z]+-fs .*panic (forced|from)",
            Kind.FILESYSTEM_PANIC,
            Trigger.PANIC,
        ),
        # kernel/panic.c: check_panic_on_warn()
        (r"panic_on_warn set", Kind.WARNING, Trigger.PANIC),
        (r"^corrupted stack end|^stack-protector", Kind.STACK_OVERFLOW, Trigger.PANIC),
        (r"^scheduling while atomic", Kind.ATOMIC_SLEEP, Trigger.PANIC),
        # kernel/panic.c, arch/*/kernel/{dumpstack,traps}.c: the oops before it says more
        (r"^Fatal exception|^Aiee|^Oops", Kind.UNKNOWN, Trigger.OOPS),
    )
)

_OOPSES: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"NULL pointer dereference", Kind.NULL_DEREFERENCE),
        (r"kernel stack overflow|stack guard page was hit", Kind.STACK_OVERFLOW),
        (r"kernel tried to execute NX|unable to execute", Kind.EXEC_FAULT),
        (r"unable to handle|Unable to handle kernel|general protection", Kind.BAD_POINTER),
        (r"[Kk]ernel BUG at", Kind.BUG),
        (r"divide error", Kind.DIVIDE_ERROR),
        (r"invalid opcode", Kind.INVALID_OPCODE),
        (r"double fault", Kind.DOUBLE_FAULT),
    )
)

_OPERATOR = (Kind.OPERATOR_SYSRQ, Kind.OPERATOR_NMI)


def asked_for_by_sysrq(frames: tuple[Frame, ...]) -> bool:
    """Whether the backtrace goes through sysrq-c, by panic() or by the NULL write before v4.20."""
    return any(frame.function == "sysrq_handle_crash" for frame in frames)


def classify(message: str | None, lines: tuple[str, ...]) -> tuple[Kind, Trigger | None]:
    """Kind and trigger from the panic message, or from the oops in the log.

    :param message: as :func:`~kautopsy.kernel.system.panic_message` gives it
    """
    kind = Kind.UNKNOWN
    trigger: Trigger | None = None
    if message is not None:
        for pattern, found, by in _PANICS:
            if pattern.search(message):
                kind, trigger = found, by
                break
        else:
            if not any(pattern.search(message) for pattern, _ in _OOPSES):
                return Kind.PANIC, Trigger.PANIC
    if kind is Kind.UNKNOWN:
        for line in lines:
            for pattern, found in _OOPSES:
                if pattern.search(line):
                    return found, Trigger.OOPS
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
    kind, trigger = classify(message, scene.log_lines)
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
