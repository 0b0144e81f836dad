"""BUG() and WARN(): what the kernel's own checks complain about, in the three formats of WARN.

``WARNING: at FILE:LINE FUNCTION()`` at first, ``WARNING: CPU: N PID: N at FILE:LINE FUNCTION`` from
3.11 on, ``WARNING: FILE:LINE at FUNCTION, CPU#N: COMM/PID`` in the newest kernels, which may put
the failed condition in brackets before FILE.
"""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import (
    Name,
    at_instruction,
    in_function,
    on_stack,
    report,
    said_or_stacked,
    skip,
)
from kautopsy.oops.families.faults import is_sysrq
from kautopsy.oops.helpers import ALLOCATORS
from kautopsy.oops.titles import plain

_OLD_WARN = ("warning",)
"""Until 4.14 WARN() printed its words behind the line with the place."""
_LIST_CHECKS = skip(r"^_*list_", r"^_*hlist_", r"plist_")
_SKB = skip("^skb_")  # BUG_ON()s about what the caller put into the buffer
_USERCOPY = skip("usercopy", "^_*check_", "copy_(?:to|from)_user")


@report(
    "list",
    r"list_\w+ corruption|list_add double add: |prev->next should be",
    detail_of=_OLD_WARN,
    words=("list_", "prev->next should be"),
)
def _list(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.LIST_CORRUPTION,
        title=in_function("BUG: corrupted list", at_instruction(body, _LIST_CHECKS)),
        trigger=Trigger.OOPS,
    )


@report(
    "usercopy",
    r"usercopy: (?:Kernel|kernel|Bad)?.{0,40}(?:memory )?(?:exposure|overwrite) attempt",
    detail_of=_OLD_WARN,
    words=("usercopy: ",),
)
def _usercopy(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.MEMORY_SAFETY,
        title=in_function("BUG: bad usercopy", on_stack(body, _USERCOPY)),
        trigger=Trigger.OOPS,
    )


@report(
    "bug",
    r"[Kk]ernel BUG at (?P<file>[^\s:!]+)(?::(?P<line>\d+))?!?|[Kk]ernel BUG at\b"
    r"|\bKernel BUG \[#|kernel BUG in |^BUG\(\): ",
    detail_of=("list", "usercopy", "slab", "rust"),
    takes_over=("buffer-overflow", "invalid-opcode", "internal-error"),
    words=("BUG(): ", "Kernel BUG [#", "ernel BUG at", "kernel BUG in "),
)
def _bug(match: re.Match[str], body: Body) -> Name:
    file = match.groupdict().get("file") or ""
    if "mm/usercopy.c" in file:
        return _usercopy(match, body)
    if "lib/list_debug.c" in file:
        return _list(match, body)
    function = at_instruction(body, _SKB)
    others = []
    if file:
        line = match["line"]
        others.append(f"kernel BUG at {file}:{line}!" if line else f"kernel BUG at {file}")
    return Name(
        kind=Kind.BUG,
        title=in_function("kernel BUG", function),
        titles=tuple(others),
        trigger=Trigger.OOPS,
    )


@report(
    "buffer-overflow",
    r"detected buffer overflow(?: in (?P<function>\w+)|: )|BUG: buffer overflow detected",
    detail_of=_OLD_WARN,
    words=("BUG: buffer overflow detected", "detected buffer overflow"),
)
def _buffer_overflow(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.MEMORY_SAFETY,
        title=in_function("BUG: buffer overflow", at_instruction(body)),
        trigger=Trigger.OOPS,
    )


_WARN = (
    r"WARNING: (?:at (?P<file1>[^\s:]+):(?P<line1>\d+)"
    r"(?:[ \t]+(?P<function1>(?!0x)[\w.$]+)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?)?"
    r"|CPU: ?\d+ PID: ?\d+ at (?P<file2>[^\s:]+):(?P<line2>\d+)"
    r"(?:[ \t]+(?P<function2>(?!0x)[\w.$<>]+)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?)?"
    r"|(?:\[.{1,300}?\] )?(?P<file3>[^\s:]+\.[chS]"
    r"|[^\s:]+\.rs):(?P<line3>\d+) at (?P<function3>[\w.$]+)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
    r"|(?P<function4>[\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+ at|CPU: ?\d+ PID: ?\d+ at )"
    r"|Badness at (?P<file5>[^\s:]+):(?P<line5>\d+)"
    r"|BUG: warning at (?P<file6>[^\s:]+):(?P<line6>\d+)/(?P<function6>[\w.]+)\(\)"
)

_REFCOUNT = skip("refcount", "kobject_", "_*kref_", "_put$")
_ODEBUG = skip(
    "debug_",
    "rcu",
    "hrtimer_",
    "timer_",
    "work_",
    "percpu_",
    "kmem_",
    "slab",
    "kfree",
    "vunmap",
    "vfree",
    "__free_",
    "kobject_",
    "^free_",
    "^kvfree",
    "hrtimer",
    "^del_timer",
    "^mod_timer",
    "^add_timer",
)
_RCU = skip("rcu", "kmem", "slab", "kmalloc", "vmalloc", "kcalloc", "kzalloc", "lockdep", "srcu")
_USB = skip("^usb_(?:submit_urb|start_wait_urb|bulk_msg|interrupt_msg|control_msg)")


def _groups(match: re.Match[str], name: str) -> str:
    groups = match.groupdict()
    return next((groups[f"{name}{i}"] for i in range(1, 7) if groups.get(f"{name}{i}")), "")


@report(
    "warning",
    _WARN,
    detail_of=("hard-lockup",),
    # where WARN() is a trap its words come first (kernel/panic.c __warn_printk)
    takes_over=("list", "usercopy", "buffer-overflow", "netdev-watchdog", "rtnl"),
    words=("BUG: warning at ", "Badness at ", "WARNING: "),
)
def _warning(match: re.Match[str], body: Body) -> Name:
    file = _groups(match, "file")
    function = plain(_groups(match, "function"))
    if not function and len(body.lines) > 1:
        # a mailer or netconsole wrapped the line behind FILE:LINE
        wrapped = re.match(r"[ \t]*([A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+", body.lines[1].text)
        function = wrapped[1] if wrapped else ""
    said = "\n".join([*(line.text for line in body.before), *body.texts()[1:6]])
    torn = (
        None
        if function or body.has_trace or body.instruction
        else "the line that says where is torn"
    )
    # usb_submit_urb() checks for its callers, so that all of their bugs show in it.
    if function == "usb_submit_urb":
        caller = on_stack(body, _USB)
        return Name(kind=Kind.WARNING, title=f"WARNING in {caller}/usb_submit_urb", corrupted=torn)
    for title, kind, recognised, skipped in _SPECIAL:
        if recognised.search(f"{file} {function}\n{said}"):
            who = _below(function, body, skipped)
            return Name(
                kind=kind,
                title=in_function(title, who),
                titles=(in_function("WARNING", who), in_function("WARNING", function or None)),
                corrupted=torn,
            )
    who = said_or_stacked(function or None, body) or at_instruction(body)
    others = (
        tuple({in_function("WARNING", function)} - {in_function("WARNING", who)})
        if function
        else ()
    )
    return Name(kind=Kind.WARNING, title=in_function("WARNING", who), titles=others, corrupted=torn)


def _below(function: str, body: Body, skipped: re.Pattern[str]) -> str | None:
    return on_stack(body, skipped) or function or None


_SPECIAL: tuple[tuple[str, Kind, re.Pattern[str], re.Pattern[str]], ...] = (
    (
        "WARNING: refcount bug",
        Kind.REFCOUNT,
        lazy_pattern(
            r"^\S*(?:lib/refcount\.c|include/linux/(?:refcount|kref)\.h)|refcount_t: "
            r"|^\S+ refcount_\w+"
        ),
        _REFCOUNT,
    ),
    (
        "WARNING: ODEBUG bug",
        Kind.WARNING,
        lazy_pattern(r"^\S*lib/debugobjects\.c|ODEBUG: "),
        _ODEBUG,
    ),
    (
        "WARNING: corrupted list",
        Kind.LIST_CORRUPTION,
        lazy_pattern(r"^\S*lib/list_debug\.c|list_\w+ corruption"),
        _LIST_CHECKS,
    ),
    (
        "WARNING: bad usercopy",
        Kind.WARNING,
        lazy_pattern(r"^\S*mm/usercopy\.c"),
        _USERCOPY,
    ),
    (
        "BUG: buffer overflow",
        Kind.MEMORY_SAFETY,
        lazy_pattern(r"detected buffer overflow: | __fortify_report"),
        skip("fortify"),
    ),
    (
        "WARNING: proc registration bug",
        Kind.WARNING,
        lazy_pattern(
            r"^\S*fs/proc/generic\.c \S*(?:proc_register|__xlate_proc_name|remove_proc_entry)"
        ),
        skip("^_*proc_", "remove_proc", "__xlate"),
    ),
    (
        "WARNING: kobject bug",
        Kind.WARNING,
        lazy_pattern(r"^\S*lib/kobject\.c kobject_"),
        skip("kobject_"),
    ),
    (
        "WARNING: locking bug",
        Kind.LOCK_MISUSE,
        lazy_pattern(
            r"^\S*kernel/(?:locking/)?(?:lockdep|mutex|rwsem|rwsem\w*|mutex-debug|spinlock\w*"
            r"|rtmutex\w*)\.c|DEBUG_LOCKS_WARN_ON|DEBUG_RWSEMS_WARN_ON"
        ),
        skip("lock_sock", "release_sock", "lockdep", "^_*(?:lock|rwsem|mutex)_"),
    ),
    (
        "WARNING: suspicious RCU usage",
        Kind.LOCK_MISUSE,
        lazy_pattern(r"^\S*kernel/rcu/\S+ rcu_(?:sleep_check|note_context)"),
        _RCU,
    ),
    (
        "WARNING: kmalloc bug",
        Kind.WARNING,
        lazy_pattern(
            r"^\S*mm/\S+\.c (?:\w*k[\w]?[mz]?alloc\w*|kvmalloc\w*|__kvmalloc\w*)"
            r"|^\S*include/linux/slab\.h"
        ),
        ALLOCATORS,
    ),
    (
        "WARNING: zero-size vmalloc",
        Kind.WARNING,
        lazy_pattern(r"^\S*mm/vmalloc\.c \w*vmalloc"),
        ALLOCATORS,
    ),
    (
        # Hard LOCKUPs were WARNs once: the text behind says so.
        "Watchdog detected hard LOCKUP",
        Kind.HARD_LOCKUP,
        lazy_pattern(r"Watchdog detected hard LOCKUP"),
        skip("watchdog|perf_event|nmi|intel_pmu|x86_pmu"),
    ),
    (
        "NETDEV WATCHDOG: transmit queue timed out",
        Kind.WARNING,
        lazy_pattern(r"^\S*net/sched/sch_generic\.c dev_watchdog|NETDEV WATCHDOG"),
        skip("(?!dev_watchdog)"),
    ),
    (
        "WARNING: stack corruption",
        Kind.STACK_OVERFLOW,
        lazy_pattern(r"Thread overran stack|stack overflow detected"),
        skip("(?!)"),
    ),
)


@report(
    "warning-unwind",
    r"WARNING: (?P<what>kernel stack (?:regs|frame pointer) at \S+ in \S+ has bad ('?\w*'? ?)value)"
    r"|WARNING: can't (?:dereference|access)(?: \w+)? registers at"
    r"|WARNING: stack going in the wrong direction"
    r"|WARNING: stack recursion on stack type",
    words=("WARNING: can't ", "WARNING: kernel stack ", "WARNING: stack "),
)
def _unwinder(match: re.Match[str], body: Body) -> Name:
    text = match.group()
    if "frame pointer" in text:
        title = "WARNING: kernel stack frame pointer has bad value"
    elif "regs at" in text:
        what = re.search(r"'\w+'", text)
        title = f"WARNING: kernel stack regs has bad {what.group() if what else 'bp'} value"
    else:
        title = text
    return Name(kind=Kind.WARNING, title=title, needs_trace=False)


@report(
    "dentry",
    r"BUG: Dentry .*?still in use \(-?\d+\)\s*(?:\[unmount of (?P<fs>[^\]]+)\])?",
    words=("BUG: Dentry ",),
)
def _dentry(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.BUG,
        title=in_function("BUG: Dentry still in use", on_stack(body)),
        titles=(f"BUG: Dentry still in use [unmount of {match['fs'] or '?'}]",),
        needs_trace=False,
    )


@report(
    "fs-inode",
    r"VFS: Busy inodes after unmount|BUG: Busy inodes after unmount",
    words=("BUG: Busy inodes after unmount", "VFS: Busy inodes after unmount"),
)
def _busy_inodes(match: re.Match[str], body: Body) -> Name:
    return Name(kind=Kind.BUG, title="VFS: Busy inodes after unmount", needs_trace=False)


@report(
    "closed-file", r"VFS: Close: file count is (?:0|zero)", words=("VFS: Close: file count is ",)
)
def _closed_file(match: re.Match[str], body: Body) -> Name:
    """fs/open.c filp_close(): somebody put the file that still is in use."""
    return Name(kind=Kind.USE_AFTER_FREE, title="VFS: Close: file count is 0", needs_trace=False)


@report(
    "irq-unhandled",
    # kernel/irq/spurious.c, manage.c
    r"irq \d+: nobody cared|(?P<mismatch>IRQ handler type mismatch for IRQ|Flags mismatch irq)",
    detail_of=_OLD_WARN,
    words=(": nobody cared", "Flags mismatch irq", "IRQ handler type mismatch for IRQ"),
)
def _irq(match: re.Match[str], body: Body) -> Name:
    title = "IRQ handler type mismatch" if match["mismatch"] else "irq: nobody cared"
    function = on_stack(body, skip("irq", "^handle_")) if body.has_trace else None
    return Name(
        kind=Kind.WARNING,
        title=in_function(title, function) if match["mismatch"] else title,
        needs_trace=False,
    )


@report(
    "rtnl",
    r"RTNL: assertion failed at (?P<file>\S+)",
    detail_of=_OLD_WARN,
    words=("RTNL: assertion failed at ",),
)
def _rtnl(match: re.Match[str], body: Body) -> Name:
    """ASSERT_RTNL() until it became a WARN_ONCE."""
    return Name(kind=Kind.WARNING, title=in_function("RTNL: assertion failed", on_stack(body)))


@report(
    "netdev-watchdog",
    r"NETDEV WATCHDOG: .*transmit (?:queue \d+ )?timed out",
    detail_of=_OLD_WARN,
    words=("NETDEV WATCHDOG: ",),
)
def _netdev_watchdog(match: re.Match[str], body: Body) -> Name:
    """net/sched/sch_generic.c dev_watchdog(): a WARN from 2.6.27 to 6.4, words alone since."""
    return Name(
        kind=Kind.WARNING,
        title="NETDEV WATCHDOG: transmit queue timed out in dev_watchdog",
        needs_trace=False,
    )


@report(
    "rust",
    r"rust_kernel: panicked at (?P<where>\S+?\.rs(?=:|$)|.*)",
    words=("rust_kernel: panicked at ",),
)
def _rust(match: re.Match[str], body: Body) -> Name:
    """rust/kernel's panic handler says why and calls BUG()."""
    return Name(
        kind=Kind.BUG,
        title=in_function("Rust panic", on_stack(body)),
        titles=(f"Rust panic at {match['where']}",),
        trigger=Trigger.OOPS,
    )


@report(
    "sysrq",
    r"(?:sysrq|SysRq) ?: (?:Trigger a crash|Crash|trigger a crash)",
    words=("SysRq", "sysrq"),
)
def _sysrq(match: re.Match[str], body: Body) -> Name:
    seen = "BUG: unable to handle kernel NULL pointer dereference in sysrq_handle_crash"
    return Name(
        kind=Kind.OPERATOR_SYSRQ,
        title="sysrq: crash asked for in sysrq_handle_crash",
        titles=(seen, "SysRq : Trigger a crash")
        if is_sysrq(body) and body.panic is None
        else ("SysRq : Trigger a crash",),
        trigger=Trigger.SYSRQ,
        needs_trace=False,
    )
