"""Watchdogs: soft and hard lockups, RCU stalls, hung tasks, workqueue stalls, endless waits."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, at_instruction, in_function, report, skip, stack
from kautopsy.oops.titles import hung, plain, stall

_TICK = skip(
    "apic_timer_interrupt",
    "^rcu_",
    "rcu_(?:sched|preempt|check|dump)",
    "nmi",
    "backtrace",
    "watchdog",
    "hrtimer",
    "tick_",
    "update_process_times",
    "^irq_",
    "^__irq",
    "ipi_",
    "smp_",
    "sysvec",
    "^asm_sysvec",
    "do_IRQ",
    "^xen_timer_interrupt$",
    "evtchn_",
    "handle_.*irq",
    "gic_",
    "^el1_irq",
    "call_on_irq_stack",
    # how a task left the CPU says nothing of what it did there
    "^_*schedule$",
    "^__switch_to",
    "^preempt_schedule",
    "cond_resched",
)


_REPORTS = lazy_pattern(
    r"dump_stack|show_stack|backtrace|rcu_dump|sched_show_task|print_cpu_stall|show_regs|nmi_"
)


_WORK = lazy_pattern(r"^Workqueue: +\S+ (?P<function>[A-Za-z_][\w.]*)", re.MULTILINE)
"""kernel/workqueue.c print_worker_info: whose work the worker was at."""

_WORKER = lazy_pattern(r"worker_thread|process_one_work|process_scheduled_works|rescuer_thread")

_IDLING = lazy_pattern(r"NMI backtrace for cpu \d+ skipped: idling at (?P<function>[A-Za-z_][\w]*)")
"""lib/nmi_backtrace.c: all that is said of a CPU that does nothing."""


def _looping(body: Body, *, beyond_tick: bool = False) -> tuple[str | None, str | None]:
    """Who loops, and why that cannot be told.

    The stack that counts is of the context that the tick interrupted: from the interrupted
    instruction on, where the report's stack begins with the interrupt's.
    """
    best: str | None = None
    for trace in [trace for trace in body.calls()[:4] if trace.call]:
        frames = trace.reliable()
        if body.instruction is not None and trace is body.calls()[0]:
            frames = [body.instruction, *frames]
        names = [plain(frame.function or "") for frame in frames]
        start = 0
        observed = beyond_tick or any(_REPORTS.search(name) for name in names[:4])
        for index, name in enumerate(names if observed else ()):
            if re.search(
                r"apic_timer_interrupt$|^el1h?_(?:64_)?irq|(?<!xen_)timer_interrupt$|^ret_from_intr"
                r"|common_interrupt$|^xen_(?:do_)?(?:hypervisor_callback|upcall)$|^do_vint$"
                r"|^handle_riscv_irq$|^decrementer_common|^__irq_svc$",
                name,
            ):
                start = index + 1
                break
        best = stall(frames[start:], _TICK)
        if best is None and start and beyond_tick:
            best = stall(frames, _TICK)
        if best is not None:
            break
    if best is not None and not _WORKER.fullmatch(best):
        return best, None
    work = _WORK.search(body.window())
    if work is not None:
        return plain(work["function"]), None
    if best is not None:
        return best, None
    if body.instruction is None and not any(trace.call for trace in body.traces):
        idle = _IDLING.search(body.window())
        return idle["function"] if idle is not None else None, None if idle else "no stack"
    function = at_instruction(body, _TICK)
    return None if function is None or _TICK.search(function) else function, None


@report(
    # until 2.6.26 `BUG: soft lockup detected on CPU#1!`
    "soft-lockup",
    r"BUG: soft lockup(?: ?-| detected\b|\W*$)",
    words=("BUG: soft lockup",),
)
def _soft_lockup(match: re.Match[str], body: Body) -> Name:
    function, problem = _looping(body)
    return Name(
        kind=Kind.SOFT_LOCKUP,
        title=in_function("BUG: soft lockup", function),
        trigger=Trigger.SOFT_LOCKUP,
        corrupted=problem,
    )


@report(
    "hard-lockup",
    r"(?:NMI )?[Ww]atchdog(?:: BUG: | ?:? ?)(?:[Ww]atchdog )?(?:detected"
    r"|CPU \d+ detected) hard LOCKUP|Watchdog detected hard LOCKUP"
    r"|BUG: NMI Watchdog detected LOCKUP"
    r"|NMI Watchdog detected LOCKUP|[Ww]atchdog:? CPU ?\d+ (?:detected hard LOCKUP"
    r"|self-detected hard LOCKUP)|Watchdog CPU:\d+ (?:detected )?[Hh]ard LOCKUP",
    takes_over=("warning",),
    words=(" hard LOCKUP", "NMI Watchdog detected LOCKUP", "Watchdog CPU:"),
)
def _hard_lockup(match: re.Match[str], body: Body) -> Name:
    function = at_instruction(body, skip("watchdog", "perf_event", "nmi", "pmu_handle"))
    return Name(
        kind=Kind.HARD_LOCKUP,
        title=in_function("Watchdog detected hard LOCKUP", function),
        trigger=Trigger.HARD_LOCKUP,
    )


@report(
    "rcu-stall",
    # kernel/rcu/tree_stall.h; kernel/rcutree.c and rcupdate.c before
    r"INFO: rcu\w* (?:self-)?detected(?: expedited)? stalls?\b|INFO: rcu_\w+ detected stall"
    r"|rcu: INFO: Possible timer handling issue"
    # kernel/rcutree.c of 2.6.28 to 2.6.32, rcuclassic.c
    r"|RCU detected CPU (?:\d+ )?stall",
    detail_of=("rcu-stall",),
    words=("INFO: rcu", "RCU detected CPU ", "rcu: INFO: Possible timer handling issue"),
)
def _rcu_stall(match: re.Match[str], body: Body) -> Name:
    function, problem = _looping(body, beyond_tick=True)
    above, _ = _looping(body)
    titles = (
        (in_function("INFO: rcu detected stall", above),)
        if above is not None and above != function
        else ()
    )
    return Name(
        kind=Kind.RCU_STALL,
        title=in_function("INFO: rcu detected stall", function),
        titles=titles,
        trigger=Trigger.PANIC if body.panic else None,
        corrupted=problem,
    )


@report(
    "hung-task",
    r"INFO: task .{1,80}?(?: blocked| can't die)[^\n]{0,120}? for (?:more"
    r"|longer) than \d+ seconds|INFO: task .{1,64}:-?\d+ blocked(?! on a)"
    # a task may put a newline into its name
    r"|INFO: task [^ \n]{0,32}$",
    words=("INFO: task ",),
)
def _hung_task(match: re.Match[str], body: Body) -> Name:
    frames = stack(body)
    function = hung(frames)
    corrupted = "the stack shows only the waiting" if frames and function is None else None
    dying = "can't die" in body.head.text
    return Name(
        kind=Kind.HUNG_TASK,
        title=in_function("INFO: task can't die" if dying else "INFO: task hung", function),
        trigger=Trigger.HUNG_TASK if body.panic else None,
        corrupted=corrupted,
    )


@report("workqueue-stall", r"BUG: workqueue lockup", words=("BUG: workqueue lockup",))
def _workqueue(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.WORKQUEUE_STALL,
        title="BUG: workqueue lockup",
        trigger=Trigger.WATCHDOG if body.panic else None,
        needs_trace=False,
    )


@report(
    "netdevice",
    r"unregister_netdevice: waiting for (?P<dev>\S+) to become free",
    words=("unregister_netdevice: waiting for ",),
)
def _netdevice(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.REFCOUNT,
        title="unregister_netdevice: waiting for DEV to become free",
        needs_trace=False,
    )


@report(
    "csd-lock",
    r"csd: Detected non-responsive CSD lock",
    words=("csd: Detected non-responsive CSD lock",),
)
def _csd(match: re.Match[str], body: Body) -> Name:
    function, _ = _looping(body)
    return Name(
        kind=Kind.HARD_LOCKUP,
        title=in_function("csd: non-responsive CSD lock", function),
        needs_trace=False,
    )
