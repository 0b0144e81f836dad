"""``panic()``: its reason says what it is, and whether an earlier report says it better."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import (
    HEADLESS,
    Name,
    at_instruction,
    in_function,
    on_stack,
    report,
    skip,
)
from kautopsy.oops.titles import stable, stall

_DEATHS = frozenset(
    {
        "page-fault",
        "general-protection",
        "bug",
        "oops",
        "internal-error",
        "trap",
        "invalid-opcode",
        "divide",
        "double-fault",
        "stack-overflow",
        "stack-segment",
        "list",
        "usercopy",
        "buffer-overflow",
        "control-flow",
        "exec-fault",
        "slab",
        "machine-check",
        "other-die",
        HEADLESS,
    }
)

AFTERMATH: tuple[tuple[re.Pattern[str], frozenset[str] | None], ...] = tuple(
    (lazy_pattern(reason), families)
    for reason, families in (
        # arch/*/kernel/{dumpstack,traps}.c, kernel/exit.c
        (
            r"Fatal exception|Oops\b|Aiee, killing|Unrecoverable|BAD STACK|kernel stack overflow",
            _DEATHS,
        ),
        (
            r"Attempted to kill (?:init|the idle task)|Machine halted|Fatal trap"
            r"|syncing: Kernel Fault$",  # parisc
            _DEATHS,
        ),
        (r"LBUG|PANIC at |VERIFY|zfs: ", frozenset({"assertion"})),
        (r"panic_on_warn set|panic_on_warn", None),  # whatever a sanitizer or a check complained of
        (r"softlockup: hung tasks", frozenset({"soft-lockup"})),
        (r"hung_task: blocked tasks", frozenset({"hung-task"})),
        (r"[Hh]ard LOCKUP", frozenset({"hard-lockup"})),
        (r"RCU Stall", frozenset({"rcu-stall"})),
        (r"workqueue: panic_on_stall", frozenset({"workqueue-stall"})),
        (r"sysrq triggered crash", frozenset({"sysrq"})),
        (
            r"[Mm]achine [Cc]heck|Fatal hardware error|Timeout: Not all CPUs|MCA architectural"
            r"|SError|Non-resumable error",
            frozenset({"machine-check", "ghes", "mce-logged", "trap"}),
        ),
        # kernel/sched/core.c __schedule_bug(), where warnings are fatal
        (r"scheduling while atomic", frozenset({"scheduling"})),
        (r"System is deadlocked|Out of memory", frozenset({"hung-task"})),
    )
)
"""Reasons of panic() that end an earlier report, and the families of that; None for any."""


def ends(reason: str, family: str) -> bool:
    """Whether panic() with this reason is what came of a report of ``family``."""
    for pattern, families in AFTERMATH:
        if pattern.search(reason):
            return families is None or family in families
    return False


@dataclass(frozen=True)
class _Reason:
    """One reason panic() is given, from the file named, and what it means."""

    pattern: re.Pattern[str]
    kind: Kind
    trigger: Trigger
    title: str = ""
    needs_trace: bool = True
    head_lost: bool = False


def _reason(
    pattern: str,
    kind: Kind,
    trigger: Trigger = Trigger.PANIC,
    title: str = "",
    *,
    needs_trace: bool = True,
    head_lost: bool = False,
) -> _Reason:
    return _Reason(lazy_pattern(pattern), kind, trigger, title, needs_trace, head_lost)


_REASONS: tuple[_Reason, ...] = (
    # drivers/tty/sysrq.c since 8341f2f222d7 ("sysrq: Use panic() to force a crash", v4.20)
    _reason(
        r"sysrq triggered crash",
        Kind.OPERATOR_SYSRQ,
        Trigger.SYSRQ,
        "sysrq: crash asked for in sysrq_handle_crash",
    ),
    # kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h: the report before it says who
    _reason(r"softlockup: hung tasks", Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP, head_lost=True),
    _reason(r"[Hh]ard LOCKUP", Kind.HARD_LOCKUP, Trigger.HARD_LOCKUP),
    _reason(r"hung_task: blocked tasks", Kind.HUNG_TASK, Trigger.HUNG_TASK, head_lost=True),
    _reason(r"RCU Stall", Kind.RCU_STALL, head_lost=True),
    _reason(r"workqueue: panic_on_stall", Kind.WORKQUEUE_STALL, Trigger.WATCHDOG, head_lost=True),
    # mm/oom_kill.c
    _reason(
        r"[Oo]ut of memory|System is deadlocked on memory",
        Kind.OUT_OF_MEMORY,
        Trigger.OUT_OF_MEMORY,
        "kernel panic: Out of memory",
    ),
    _reason(r"An NMI occurred", Kind.HARDWARE_NMI, Trigger.NMI, "kernel panic: An NMI occurred"),
    # drivers/watchdog/hpwdt.c; arch/x86/kernel/nmi.c
    _reason(
        r"An NMI occurred|NMI: (?:IOCK|SERR|PCI)|NMI IOCK|NMI SERR|PCI system error",
        Kind.HARDWARE_NMI,
        Trigger.NMI,
    ),
    # kernel/workqueue.c panic_on_wq_watchdog(), since v6.19
    _reason(r"workqueue: \d+ stall", Kind.WORKQUEUE_STALL, Trigger.WATCHDOG),
    _reason(r"NMI: Not continuing|unknown NMI|NMI button", Kind.OPERATOR_NMI, Trigger.NMI),
    # arch/x86/kernel/cpu/mce/core.c, drivers/acpi/apei/ghes.c
    _reason(
        r"[Mm]achine [Cc]heck|Timeout: Not all CPUs entered|Fatal hardware error"
        r"|Uncorrected hardware|MCA|SError|Non-resumable error",
        Kind.MACHINE_CHECK,
        Trigger.MACHINE_CHECK,
        needs_trace=False,
    ),
    _reason(
        r"[Ss]oftware [Ww]atchdog|[Ww]atchdog:? pre-?timeout|^pre-timeout|pretimeout event"
        r"|[Ww]atchdog (?:[Bb]ark|[Bb]ite)",  # Qualcomm's
        Kind.WATCHDOG,
        Trigger.WATCHDOG,
    ),
    # kernel/exit.c, init/main.c, init/do_mounts.c
    _reason(
        r"Attempted to kill init",
        Kind.INIT_DIED,
        title="kernel panic: Attempted to kill init!",
    ),
    _reason(
        r"No (?:working )?init found|Requested init",
        Kind.INIT_DIED,
        title="kernel panic: No working init found",
        needs_trace=False,
    ),
    _reason(
        r"VFS: Unable to mount root|Unable to mount root|Cannot open root"
        r"|No filesystem could mount root",
        Kind.ROOT_MOUNT_FAILURE,
        needs_trace=False,
    ),
    _reason(
        r"(?:EXT\d|ext\d|XFS|BTRFS|btrfs|FAT|JFS|NILFS|GFS2|OCFS2|F2FS|UBIFS|REISERFS|ReiserFS"
        r"|bcachefs"
        r"|UFS)[-\s:(].*|[\w-]+-fs .*panic|.*: panic forced after error",
        Kind.FILESYSTEM_PANIC,
    ),
    # kernel/panic.c check_panic_on_warn; the arch's die(): the report before it is lost
    _reason(r"panic_on_warn set", Kind.WARNING, head_lost=True),
    # arch/um/kernel/trap.c
    _reason(r"Kernel mode fault at addr|Segfault with no mm", Kind.BAD_POINTER, Trigger.OOPS),
    _reason(r"Attempted to kill the idle task", Kind.UNKNOWN, Trigger.OOPS, head_lost=True),
    _reason(r"Fatal exception|Aiee, killing|Oops\b", Kind.UNKNOWN, Trigger.OOPS, head_lost=True),
    _reason(r"corrupted stack end", Kind.STACK_OVERFLOW, title="kernel panic: corrupted stack end"),
    _reason(
        r"stack-protector",
        Kind.STACK_OVERFLOW,
        title="kernel panic: stack is corrupted",
        needs_trace=False,
    ),
    _reason(r"kernel stack overflow|kernel stack is corrupted", Kind.STACK_OVERFLOW),
    _reason(r"scheduling while atomic", Kind.ATOMIC_SLEEP),
    _reason(
        r"Couldn't open N_TTY ldisc", Kind.PANIC, title="kernel panic: Couldn't open N_TTY ldisc"
    ),
)

_ENTRY = skip("schedule", "retint_kernel", "preempt_")


@report(
    "panic",
    r"(?<!\[ end )Kernel panic(?: -|:) ?not syncing(?:: ?(?P<reason>.*)|\W*$)"
    r"|Kernel panic: (?P<old>.+)",
    takes_over=("nmi",),
    words=("Kernel panic",),
)
def _panic(match: re.Match[str], body: Body) -> Name:
    return panicked((match["reason"] or match["old"] or "").strip(), body)


def panicked(reason: str, body: Body) -> Name:
    """What panic() with this reason is."""
    if not reason:
        return Name(
            kind=Kind.PANIC,
            title="kernel panic",
            trigger=Trigger.PANIC,
            corrupted="the reason is missing",
        )
    for known in _REASONS:
        if known.pattern.search(reason):
            return _known(known, reason, body)
    return Name(
        kind=Kind.PANIC,
        title=f"kernel panic: {stable(reason)}",
        titles=(in_function("kernel panic", on_stack(body)),) if body.has_trace else (),
        trigger=Trigger.PANIC,
    )


def _known(known: _Reason, reason: str, body: Body) -> Name:
    title = known.title or f"kernel panic: {stable(reason)}"
    if "corrupted stack end" in reason or (known.kind is Kind.STACK_OVERFLOW and not known.title):
        frames = body.calls()[0].reliable() if body.calls() else []
        title = in_function(title, stall(frames, _ENTRY) or at_instruction(body))
    elif "stack-protector" in reason:
        said = re.search(
            r"corrupted in: (?:\[<[0-9a-f]*>\] )?(?P<function>[A-Za-z_][\w.]*)", reason
        )
        function = (
            said["function"].split("+")[0].split(".")[0]
            if said and "0x" not in said["function"][:2]
            else None
        )
        if function is not None and re.fullmatch(r"[0-9a-f]{8,16}", function):
            function = None
        title = in_function(title, function or on_stack(body, skip("stack_chk")))
    others = [f"kernel panic: {stable(reason)}"]
    if known.head_lost and body.has_trace:
        lost = "WARNING" if known.kind is Kind.WARNING else "Oops"
        others.append(in_function(lost, at_instruction(body)))
    return Name(
        kind=known.kind,
        title=title,
        titles=tuple(others),
        trigger=known.trigger,
        needs_trace=known.needs_trace,
        corrupted="the report that led to the panic is lost" if known.head_lost else None,
    )


@report(
    "trusty",
    r"trusty: panic\b.*?(?:ASSERT FAILED at \(.*?\): (?P<assertion>.+)|\): (?P<reason>.+)|$)",
    words=("trusty: panic",),
)
def _trusty(match: re.Match[str], body: Body) -> Name:
    """The secure world's own panic, which Android's trusty-log driver prints."""
    if match["assertion"]:
        title = f"trusty: ASSERT FAILED: {match['assertion'].strip()}"
    else:
        title = f"trusty: panic: {stable(match['reason'] or '')}"
    return Name(kind=Kind.PANIC, title=title, trigger=Trigger.PANIC, needs_trace=False)
