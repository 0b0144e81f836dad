"""What is left: reports that no family knows, and heads of which only a word remains."""

from __future__ import annotations

import re
from dataclasses import replace

from kautopsy.fingerprint.generic import Role, role
from kautopsy.model.crash import Frame, Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import (
    HEADLESS,
    Name,
    at_instruction,
    in_function,
    on_stack,
    report,
)
from kautopsy.oops.families.faults import BEFORE_DIE
from kautopsy.oops.families.panics import panicked
from kautopsy.oops.titles import guilty, stable


@report(
    "reboot",
    # A reset in the middle of a line glues the first to what the kernel was printing.
    r"SeaBIOS \(version |U-Boot (?:SPL )?2\d{3}\.\d\d\S* \(\w{3} \d|NOTICE:  BL[12]: "
    r"|^\s*(?:OpenSBI v\d|BdsDxe: (?:loading|starting) |UEFI firmware \(version "
    r"|.{0,60}American Megatrends|GNU GRUB +version |Welcome to GRUB!|EFI stub: )"
    r"|^(?:.*\bdone, )?[Bb]ooting the kernel\.",
    words=(
        "American Megatrends",
        "BdsDxe: ",
        "EFI stub: ",
        "GNU GRUB ",
        "NOTICE:  BL",
        "OpenSBI v",
        "SeaBIOS (version ",
        "U-Boot 2",
        "U-Boot SPL 2",
        "UEFI firmware (version ",
        "Welcome to GRUB!",
        "ooting the kernel.",
    ),
)
def _reboot(match: re.Match[str], body: Body) -> Name:
    """Firmware, boot loader or decompressor: the kernel before said nothing of going down."""
    return Name(kind=Kind.UNKNOWN, title="unexpected kernel reboot", needs_trace=False)


@report("torn", r"(?<![\w.])(?P<word>BUG|WARNING|INFO): ?$", words=("BUG:", "INFO:", "WARNING:"))
def _torn(match: re.Match[str], body: Body) -> Name:
    kind = Kind.WARNING if match["word"] == "WARNING" else Kind.UNKNOWN
    function = on_stack(body)
    return Name(
        kind=Kind.BUG if match["word"] == "BUG" else kind,
        title=f"{match['word']}: corrupted",
        titles=(in_function(f"{match['word']}: corrupted", function),) if function else (),
        corrupted="the rest of the first line is lost",
    )


@report(
    "other-die",
    # die() of every architecture names the trap and counts: `Bad pagetable: 000d [#1] SMP` (x86,
    # s390, sh), `Kernel ade access[#1]:` (mips, loongarch), `Kernel BUG [#1]` (riscv)
    # until 2.6.19 x86_64 counted without `#`
    # sparc's die_if_kernel() puts who ran before it
    r"^(?:\S.{0,20}\(\d+\): )?(?P<what>[A-Za-z][\w ,#()/.'-]{2,80}?)"
    r"(?:(?:: (?:0x)?[0-9a-f]{1,16})?(?: ilc:\d)? ?\[#\d+\]"
    r"|: 0000 \[\d+\]):?(?: [A-Z][A-Z0-9_()]+)*\s*$",
    detail_of=BEFORE_DIE,
    words=("[#", ": 0000 ["),
)
def _other_die(match: re.Match[str], body: Body) -> Name:
    what = match["what"]
    kind = Kind.BUG if "BUG" in what or "bug" in what else Kind.BAD_POINTER
    if "BRK" in what or "illegal instruction" in what:  # arm64's `ptrace BRK handler`; sparc's
        kind = Kind.INVALID_OPCODE
    if "bad sw trap 5" in what:  # sparc's BUG()
        kind = Kind.BUG
    return Name(kind=kind, title=in_function(what, at_instruction(body)), trigger=Trigger.OOPS)


# Services that write to the kernel's log sign with their process: `systemd[1]: Started BUG: ...`
@report(
    "other-bug", r"^(?![\w./-]{1,40}\[\d+\]: ).*?(?<![\w.\-])BUG: (?P<rest>\S.*)$", words=("BUG: ",)
)
def _other(match: re.Match[str], body: Body) -> Name:
    function = on_stack(body)
    return Name(
        kind=Kind.BUG,
        title=in_function(f"BUG: {stable(match['rest'])[:80]}", function),
        needs_trace=False,
    )


_TOLD: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    # kernel/sched/core.c __might_resched, mm/debug.c, mm/kasan/report.c, kernel/locking/lockdep.c
    (
        lazy_pattern(r"in_atomic\(\): \d"),
        Kind.ATOMIC_SLEEP,
        "BUG: sleeping function called from invalid context",
    ),
    (lazy_pattern(r"page dumped because: "), Kind.PAGE_CORRUPTION, "BUG: Bad page state"),
    (lazy_pattern(r"(?:Read|Write) of size \d+ at addr "), Kind.MEMORY_SAFETY, "KASAN: bad access"),
    (
        lazy_pattern(r"other info that might help us debug this:"),
        Kind.LOCK_MISUSE,
        "possible deadlock",
    ),
)
_TOLD_BY: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    # Who called dump_stack() says why, where the words themselves are lost.
    (lazy_pattern(r"watchdog_timer_fn|softlockup_tick"), Kind.SOFT_LOCKUP, "BUG: soft lockup"),
    (
        lazy_pattern(r"rcu_dump_cpu_stacks|(?:rcu_)?(?:print|check)_\w*cpu_stall\w*"),
        Kind.RCU_STALL,
        "INFO: rcu detected stall",
    ),
    (lazy_pattern(r"bad_page"), Kind.PAGE_CORRUPTION, "BUG: Bad page state"),
    (lazy_pattern(r"__schedule_bug"), Kind.ATOMIC_SLEEP, "BUG: scheduling while atomic"),
    (
        lazy_pattern(r"_{2,3}might_(?:sleep|resched)"),
        Kind.ATOMIC_SLEEP,
        "BUG: sleeping function called from invalid context",
    ),
    (
        lazy_pattern(r"print_(?:circular|usage|deadlock|bad_irq)\w*|lockdep_rcu_suspicious"),
        Kind.LOCK_MISUSE,
        "possible deadlock",
    ),
    (lazy_pattern(r"kasan_report|kasan_report_\w+"), Kind.MEMORY_SAFETY, "KASAN: bad access"),
    (lazy_pattern(r"spl_panic|spl_debug_bug"), Kind.BUG, "assertion failed"),
    (lazy_pattern(r"__warn|warn_slowpath_\w+"), Kind.WARNING, "WARNING"),
    (lazy_pattern(r"oops_end|die|__die|die_kernel_fault"), Kind.UNKNOWN, "Oops"),
    (lazy_pattern(r"v?panic|nmi_panic"), Kind.PANIC, "kernel panic"),
)
_REPORTING_FRAMES = 8
_NOTIFIERS = 16
_REPORTING = (Role.REPORTER, Role.FAULT_ENTRY)
_PANIC_END = lazy_pattern(r"---\[ end Kernel panic - not syncing: (?P<reason>[^\]\n]*)")
# Registers and backtraces that say nothing of a fault: SysRq-p, -l and -t, NMIs to all CPUs, and an
# allocation that failed while the kernel wrote to a process (mm/oom_kill.c, mm/page_alloc.c)
_ASKED_FOR = lazy_pattern(
    r"[Ss]ys[Rr]q|NMI backtrace|Sending NMI|Show Regs|invoked oom-killer: |page allocation failure"
)
_TRAPPING = lazy_pattern(r"<0f> 0b|\(d4210000\)")
"""x86's ud2 and arm64's brk #0x800, which BUG() and WARN() are made of."""


@report(
    HEADLESS,
    r"^[ \t]*(?:(?:\[<[0-9a-f]{8,16}>\] )?(?:\? )?(?:v?panic|oops_end|die)\+0x"
    r"|Modules linked in:|CPU: \d+ (?:UID: \d+ )?PID: \d+ Comm: |Pid: \d+, comm: "
    r"|(?:RIP|EIP|IP): (?:0010|0060):|EIP is at |PC is at "
    r"|pc : (?:\[<|[A-Za-z_][\w.]*\+0x)|NIP \[[0-9a-f]{8,16}\]|epc +: |Krnl PSW : "
    r"|---\[ end (?:trace|Kernel panic)|(?:Read|Write) of size \d+ at addr |in_atomic\(\): \d"
    r"|page dumped because: |other info that might help us debug this:)",
    words=(
        " Comm: ",
        " of size ",
        ", comm: ",
        "---[ end ",
        "EIP is at ",
        "IP: 0010:",
        "IP: 0060:",
        "Krnl PSW : ",
        "Modules linked in:",
        "NIP [",
        "die+0x",
        "oops_end+0x",
        "panic+0x",
        "PC is at ",
        "epc ",
        "in_atomic(): ",
        "other info that might help us debug this:",
        "page dumped because: ",
        "pc : ",
    ),
)
def _head_lost(match: re.Match[str], body: Body) -> Name:
    """A report of which the log has only the rest: it was cut, or begins too late."""
    corrupted = "the head of the report, which says what happened, is lost"
    window = body.window()
    by = _told_by(body)
    panic = _PANIC_END.search(window)
    if panic is not None and not body.has_trace:
        return replace(panicked(panic["reason"].strip(), body), corrupted=corrupted)
    for told, kind, title in _TOLD:
        if told.search(window):
            return Name(kind=kind, title=in_function(title, on_stack(body)), corrupted=corrupted)
    if by is not None and by[0] is not Kind.UNKNOWN:
        return Name(kind=by[0], title=in_function(by[1], _who(body)), corrupted=corrupted)
    kind = Kind.UNKNOWN
    if _TRAPPING.search(body.code):
        kind = Kind.BUG
    elif "cr2" in body.registers:
        kind = Kind.NULL_DEREFERENCE if body.registers["cr2"] < 4096 else Kind.BAD_POINTER
    return Name(
        kind=kind,
        title=in_function("Oops", _who(body)),
        trigger=Trigger.OOPS,
        corrupted=corrupted,
    )


def _told_by(body: Body) -> tuple[Kind, str] | None:
    """What whoever printed the backtrace stands for; the outermost reporter knows best."""
    told: tuple[Kind, str] | None = None
    for frame in _from_panic(body)[:_REPORTING_FRAMES]:
        name = frame.function or ""
        by = next(((kind, title) for who, kind, title in _TOLD_BY if who.fullmatch(name)), None)
        if by is None and role(name) not in _REPORTING:
            break
        # panic() is what came of the others
        told = by if by is not None and (told is None or by[0] is not Kind.PANIC) else told
    return told


def _from_panic(body: Body) -> list[Frame]:
    """The backtrace without what panic() called: vendors' notifiers print it."""
    calls = body.calls()
    frames = calls[0].reliable() if calls else []
    inner = [n for n, f in enumerate(frames[:_NOTIFIERS]) if f.function in ("panic", "vpanic")]
    return frames[inner[-1] :] if inner else frames


def _who(body: Body) -> str | None:
    """Whom the rest of a report is about: the instruction, else who stands beyond the reporters."""
    if body.instruction is None:
        frames = _from_panic(body)
        entries = [
            number
            for number, frame in enumerate(frames[: 2 * _REPORTING_FRAMES])
            if role(frame.function or "") in _REPORTING
        ]
        if entries and (function := guilty(frames[entries[-1] + 1 :])) is not None:
            return function
    return at_instruction(body)


def is_crash(body: Body) -> bool:
    """Whether the rest of a report is one's: it ends as an oops does, or says what only one says.

    Registers and instructions alone are shown on request too.
    """
    if body.panic is not None or _PANIC_END.search(body.head.text):
        return True
    if body.head.text.lstrip().startswith("---[ end"):
        # A backtrace alone was as likely a warning's, which is over and done with.
        return body.instruction is not None or bool(body.has_trace and body.code)
    texts = [line.text for line in (*body.before, *body.lines[:60])]
    if any(_ASKED_FOR.search(text) for text in texts):
        return False
    if body.ended or any(told.search(text) for told, _, _ in _TOLD for text in texts):
        return True
    if _told_by(body) is not None:
        return True
    return bool(body.code and body.registers and body.instruction is not None and body.has_trace)
