"""CPUs: what each was doing, since when, and whether its clock still ticked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program, StackFrame
from drgn.helpers.linux.cpumask import for_each_online_cpu, for_each_present_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.sched import cpu_curr, cpu_rq
from drgn.helpers.linux.stack import LinuxKernelStack, StackKind
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.stacks import kernel_frames, to_frame, unwound
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.tasks import now, plain
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Frame

_IF = 0x200  # x86 RFLAGS: interrupts are enabled

# What stands on a stack because the machine is being stopped: the way from a watchdog, a fault or
# an NMI into panic(), kexec and the halt of the other CPUs. (kernel/panic.c, kernel/watchdog.c,
# kernel/rcu/tree_stall.h, kernel/smp.c; arch/x86/kernel/{crash,dumpstack,nmi,reboot,smp,traps}.c,
# arch/x86/mm/fault.c)
_STOPPING = re.compile(
    r"v?panic|nmi_panic\w*|(__)?crash_kexec|machine_kexec|crash_(nmi_callback|save_cpu|setup_regs)"
    r"|kdump_nmi_callback|nmi_shootdown_\w+|stop_this_cpu|native_(halt|smp_send_stop)|delay_tsc"
    r"|oops_end|(__)?die(_\w+)?|page_fault_oops|no_context|kernelmode_fixup_or_oops|__bad_area\w*"
    r"|watchdog_(timer_fn|overflow_callback|hardlockup_check)|unknown_nmi_error|io_check_error"
    r"|pci_serr_error|print_cpu_stall|check_cpu_stall|panic_on_rcu_stall|rcu_sched_clock_irq"
    r"|__warn(_printk)?|check_panic_on_warn|out_of_memory|sysrq_handle_crash|df_debug|report_bug"
)

# The tick itself: it interrupts whatever a CPU is really doing (kernel/time/).
_TICKING = re.compile(
    r"(__)?hrtimer_(interrupt|run_queues|rearm\w*)|tick_(sched_|nohz_)?handler|tick_irq\w*"
    r"|clockevents_program_event"
)
_SOFTIRQ = re.compile(r"(__)?do_softirq\w*|handle_softirqs")

_CONTEXTS = {
    StackKind.NMI: "nmi",
    StackKind.IRQ: "irq",
    StackKind.SOFTIRQ: "softirq",
    StackKind.TASK: "task",
}


class Cpu(msgspec.Struct, frozen=True):
    """One CPU."""

    cpu: Annotated[int, Column("number")]
    online: Annotated[bool, Column("as the kernel saw it; panic() takes the others offline")]
    pid: Annotated[int | Unreadable, Column("of the task on it, 0 if it idled")]
    comm: Annotated[str, Column("of the task on it")]
    task: Annotated[int, Column("its task_struct, 0 if unknown", unit="address")]
    runnable: Annotated[int | Unreadable, Column("tasks on its runqueue, the running one included")]
    context: Annotated[str, Column("idle, user, task, softirq, irq, nmi or unknown")]
    function: Annotated[str, Column("innermost function of what it did, the crash's own left out")]
    interrupts: Annotated[bool | None, Column("enabled; None if its registers are not in the dump")]
    silent: Annotated[
        int | Unreadable, Column("since its last tick or switch, or its next was due", unit="ns")
    ]
    dead: Annotated[
        int, Column("without interrupts, as two of its clocks, timer and task bear out", unit="ns")
    ]
    running: Annotated[
        int | Unreadable | None,
        Column(
            "since the task got the CPU, or since an interrupt took it from idling; None if idle",
            unit="ns",
        ),
    ]
    used: Annotated[
        int | Unreadable | None,
        Column("CPU time that the task has taken since; None if idle", unit="ns"),
    ]
    tick_hangs: Annotated[bool, Column("the timer interrupt that it is in has lasted for seconds")]


def running_stack(program: Program, task: Object) -> LinuxKernelStack | None:
    """The stack of a task that was on a CPU, None if the dump has no registers for it."""
    try:
        return unwound(task)
    except READ_ERRORS:
        return None


def stopped_at(frames: list[StackFrame], *, tick_hangs: bool = False) -> int:
    """Index of the first of ``frames`` that is not about stopping the machine.

    The panicking CPU has panic() and the interrupt that called it on top, the others the NMI or
    the interrupt that stopped them. A tick that happened to run then is passed over too, unless it
    is what does not end (``Cpu.tick_hangs``).
    """
    start = 0
    boundaries = [
        index
        for index, frame in enumerate(frames)
        if index and frame.interrupted and not frames[index - 1].interrupted
    ]
    for boundary in (*boundaries, None):
        last = -1
        ticking = softirq = False
        for index in range(start, len(frames) if boundary is None else boundary):
            name = plain(frames[index].name or "")
            ticking |= _TICKING.fullmatch(name) is not None
            softirq |= _SOFTIRQ.fullmatch(name) is not None
            if _STOPPING.fullmatch(name):
                last = index
        if last < 0 and (boundary is None or not ticking or softirq or tick_hangs):
            break
        start = last + 1 if boundary is None else boundary
    return min(start, max(len(frames) - 1, 0))


@table
def cpus(program: Program) -> Iterator[Cpu]:
    """Every CPU present."""
    clock = now(program)
    online = readable(lambda: set(for_each_online_cpu(program)))
    for cpu in for_each_present_cpu(program):
        yield _row(program, cpu, clock, online if isinstance(online, set) else set())


def _row(program: Program, cpu: int, clock: int, online: set[int]) -> Cpu:
    task = cpu_curr(program, cpu)
    pid = readable(lambda: int(task.pid))
    context, function = "unknown", ""
    interrupts: bool | None = None
    stack = running_stack(program, task)
    if pid == 0:
        context = "idle"
    hangs = _tick_hangs(program, cpu, stack, idle=pid == 0)
    if stack is not None:
        context, function, interrupts = _doing(program, stack, context, tick_hangs=hangs)
    if pid == 0:
        running: int | Unreadable | None = None
        if context in ("irq", "softirq"):
            running = readable(lambda: _since_idle(program, cpu))
    else:
        running = readable(lambda: _since(clock, int(task.sched_info.last_arrival)))
    silent, known = _silent(program, cpu, clock)
    witnesses = sorted((*known, running) if isinstance(running, int) else known)
    return Cpu(
        cpu=cpu,
        online=cpu in online,
        pid=pid,
        comm=str(readable(lambda: text(task.comm.string_()))),
        task=int(task),
        runnable=readable(lambda: int(cpu_rq(program, cpu).nr_running)),
        context=context,
        function=function,
        interrupts=interrupts,
        silent=silent,
        dead=witnesses[-2] if len(witnesses) > 1 else 0,
        running=running,
        used=None if pid == 0 else readable(lambda: _used(task)),
        tick_hangs=hangs,
    )


def _used(task: Object) -> int:
    """CPU time, nanoseconds, since the scheduler picked ``task`` (kernel/sched/fair.c).

    ``prev_sum_exec_runtime`` is kept by the fair class; of the others it is all they ever used.
    """
    entity = task.se
    return max(0, int(entity.sum_exec_runtime) - int(entity.prev_sum_exec_runtime))


_TICK_HANGS = 4_000_000_000
"""A tick takes microseconds, and moves the runqueue's clock; nanoseconds."""


def _tick_hangs(program: Program, cpu: int, stack: LinuxKernelStack | None, *, idle: bool) -> bool:
    """Whether a timer interrupt that ``cpu`` is in, if it is in one, has not ended for seconds.

    A callback of an hrtimer that loops, or that rearms its timer in the past, keeps the interrupt
    going, and the tick's own timer behind it. The tick of an idle CPU stops for honest reasons:
    what counts there is since when an interrupt keeps it from idling, if no softirq is below it.
    """

    def read() -> int:
        if not idle:
            return _tick_overdue(program, cpu)
        names = () if stack is None else (plain(frame.name or "") for frame in stack)
        return 0 if any(map(_SOFTIRQ.fullmatch, names)) else _since_idle(program, cpu)

    lasted = readable(read)
    return isinstance(lasted, int) and lasted >= _TICK_HANGS


def _silent(program: Program, cpu: int, clock: int) -> tuple[int | Unreadable, list[int]]:
    """Nanoseconds without a tick, by the runqueue's clock and by the timer that was due: the
    longer, and what both say, of which a word that was lost can spoil one.

    Other CPUs move the clock of a runqueue too where they look at its load, newer kernels more
    often; but only the CPU itself takes its timer's interrupt (``tick_cpu_device``,
    kernel/time/tick-common.c; a stopped tick has an event in the future or none).
    """
    still = readable(lambda: _since(clock, int(cpu_rq(program, cpu).clock)))
    overdue = readable(lambda: _overdue(program, cpu))
    known = [one for one in (still, overdue) if isinstance(one, int)]
    return (max(known) if known else still), known


def _since(clock: int, moment: int) -> int:
    """Nanoseconds.

    :raises ValueError: ``moment`` is 0: what ran has one, so its page was lost on the way
    """
    if not moment:
        raise ValueError("it holds zeros")
    return max(0, clock - moment)


def _tick_overdue(program: Program, cpu: int) -> int:
    """Nanoseconds since the tick's own timer was due, which a busy CPU has always armed."""
    timer = per_cpu(variable(program, "tick_cpu_sched", "struct tick_sched"), cpu).sched_timer
    due = int(timer.member_("_softexpires"))
    return max(0, int(ktime_get_coarse_ns(program)) - due) if due > 0 else 0


def _overdue(program: Program, cpu: int) -> int:
    device = per_cpu(variable(program, "tick_cpu_device", "struct tick_device"), cpu)
    event = int(device.evtdev.next_event)
    return max(0, int(ktime_get_coarse_ns(program)) - event) if 0 < event < 1 << 62 else 0


def _since_idle(program: Program, cpu: int) -> int:
    """Nanoseconds since an interrupt took ``cpu`` from idling and did not return.

    The first thing that an interrupt of an idle CPU does is to note the time in
    ``tick_sched.idle_entrytime`` (kernel/time/tick-sched.c, ``tick_nohz_stop_idle``), on the clock
    of ``tick_next_period``.

    :raises LookupError: the kernel has neither variable
    """
    base = per_cpu(variable(program, "tick_cpu_sched", "struct tick_sched"), cpu)
    end = int(variable(program, "tick_next_period", "long long"))
    return max(0, end - int(base.idle_entrytime))


def _doing(
    program: Program, stack: LinuxKernelStack, context: str, *, tick_hangs: bool
) -> tuple[str, str, bool | None]:
    frames = list(kernel_frames(stack))
    if not frames:
        return "user" if context == "unknown" else context, "", True
    first = stopped_at(frames, tick_hangs=tick_hangs)
    frame = frames[first]
    found: Frame = to_frame(program, frame)
    kind = StackKind.UNKNOWN
    seen = 0
    for segment in stack.segments:
        seen += len(segment.frames)
        if first < seen:
            kind = segment.kind
            break
    flags = readable(lambda: int(frame.register("rflags")))
    return (
        context if context == "idle" and kind is StackKind.TASK else _CONTEXTS.get(kind, context),
        found.function or "",
        None if isinstance(flags, Unreadable) else bool(flags & _IF),
    )
