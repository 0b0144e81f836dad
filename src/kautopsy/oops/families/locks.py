"""Lockdep's reports and the other checks of locks, RCU sections and preemption.

kernel/locking/lockdep.c prints ``WARNING: X`` (``[ INFO: X ]`` in old kernels,
``[ BUG: X ]`` for some), then who takes what ``at: FUNCTION``; the rest comes from
kernel/locking/spinlock_debug.c and kernel/sched/core.c.
"""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import (
    AT_FUNCTION,
    Name,
    in_function,
    on_stack,
    report,
    skip,
)
from kautopsy.oops.helpers import is_helper
from kautopsy.oops.titles import first_named, guilty, plain

_HEAD = r"(?:WARNING: |\[ ?(?:INFO|BUG|WARNING): |INFO: |BUG: )"
_RCU = skip(
    "rcu",
    "kmem",
    "slab",
    "kmalloc",
    "vmalloc",
    "kcalloc",
    "kzalloc",
    "lockdep",
    "cond_resched",
    "might",
)
_LOCKING = skip("stack", "lock", "IRQ", "irq", "^register_lock")
_PREEMPT = skip("preempt", "dump_stack", "smp_processor_id", "this_cpu")
_SPIN = skip("spin_", "rwlock", "_lock", "lock_", "raw_", "rq_lock")

_WORKING = skip("^process_(?:one_work|scheduled_works)$", "workqueue", "^worker_thread$")

# Wrapped, torn or interleaved bodies must not make a search look through a whole log.
_WINDOW = 80


def _taken_at(body: Body, after: str, skipped: re.Pattern[str] | None = None) -> str | None:
    """The function after ``at:`` on the lines from the one that says ``after`` on."""
    seen = False
    for line in body.lines[:_WINDOW]:
        text = line.text
        if after in text:
            seen = True
        if seen:
            match = re.search(AT_FUNCTION, text)
            if match is None:
                continue
            name = plain(match["function"])
            if not is_helper(name) and not (skipped and skipped.search(name)):
                return name
    return None


def _lock_report(
    body: Body, title: str, after: str, *others: str, skipped: re.Pattern[str] | None = None
) -> Name:
    function = _taken_at(body, after, skipped)
    corrupted = None
    if function is None:
        if not any(_AT.search(line.text) for line in body.lines[:_WINDOW]):
            corrupted = "the line that says where the lock is taken is missing"
        function = on_stack(body, *((skipped,) if skipped else ()))
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(title, function),
        titles=tuple(in_function(other, function) for other in others),
        corrupted=corrupted,
    )


_AT = lazy_pattern(AT_FUNCTION)


@report(
    "lockdep-circular",
    rf"{_HEAD}possible circular locking dependency detected",
    words=("possible circular locking dependency detected",),
)
def _circular(match: re.Match[str], body: Body) -> Name:
    """Work and work queues have lockdep maps of their own: whoever waits for them is meant."""
    return _lock_report(body, "possible deadlock", "is trying to acquire lock", skipped=_WORKING)


@report(
    "lockdep-recursive",
    rf"{_HEAD}possible recursive locking detected",
    words=("possible recursive locking detected",),
)
def _recursive(match: re.Match[str], body: Body) -> Name:
    return _lock_report(body, "possible deadlock", "is trying to acquire lock")


@report(
    "lockdep-inversion",
    rf"{_HEAD}possible irq lock inversion dependency detected",
    words=("possible irq lock inversion dependency detected",),
)
def _inversion(match: re.Match[str], body: Body) -> Name:
    return _lock_report(body, "possible deadlock", "just changed the state of lock")


@report(
    "lockdep-irq-order",
    rf"{_HEAD}[A-Za-z_-]+-safe -> [A-Za-z_-]+-unsafe lock order detecte",
    words=("-unsafe lock order detecte",),
)
def _irq_order(match: re.Match[str], body: Body) -> Name:
    """The handler in whose interrupt the lock is taken is whom the order must suit."""
    for trace in body.traces:
        if "-irq-safe at" in trace.head and (handler := guilty(trace.reliable())):
            name = _lock_report(body, "possible deadlock", "is trying to acquire")
            return Name(
                kind=name.kind,
                title=in_function("possible deadlock", handler),
                titles=(name.title,),
                corrupted=name.corrupted,
            )
    return _lock_report(body, "possible deadlock", "is trying to acquire")


@report(
    "lockdep-state",
    rf"{_HEAD}inconsistent lock state",
    words=("inconsistent lock state",),
)
def _state(match: re.Match[str], body: Body) -> Name:
    return _lock_report(body, "inconsistent lock state", " takes")


@report("lockdep-context", rf"{_HEAD}[Ii]nvalid wait context", words=("nvalid wait context",))
def _context(match: re.Match[str], body: Body) -> Name:
    name = _lock_report(body, "BUG: Invalid wait context", "is trying to lock")
    if name.corrupted:
        # `at: ` names the lock's taker only in the list of held locks; the lock line has no colon
        return Name(
            kind=name.kind,
            title=in_function("BUG: Invalid wait context", _at(body) or on_stack(body)),
        )
    return name


def _at(body: Body) -> str | None:
    for line in body.lines[:_WINDOW]:
        match = re.search(r"\bat: (?:\[<[0-9a-f]*>\] )?([A-Za-z_][\w.]*)\+0x", line.text)
        if match is not None:
            return plain(match[1])
    return None


@report(
    "lockdep-unlock",
    rf"(?P<head>{_HEAD})bad unlock balance detected",
    words=("bad unlock balance detected",),
)
def _unlock(match: re.Match[str], body: Body) -> Name:
    where = None
    seen = False
    for line in body.lines[:_WINDOW]:
        if "is trying to release lock" in line.text:
            seen = True
        if seen:
            found = re.search(
                r"(?:at:|\[<[0-9a-f]*>\])[ \t]*(?:\[<[0-9a-f]*>\])?[ \t]*([A-Za-z_][\w.]*)\+0x",
                line.text,
            )
            if found is not None:
                where = plain(found[1])
                break
    word = "BUG" if "BUG" in match["head"] else "WARNING"
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(f"{word}: bad unlock balance", where or on_stack(body)),
        corrupted=None if where else "the line that says where the lock is released is missing",
    )


@report("lockdep-freed", rf"(?P<head>{_HEAD})held lock freed", words=("held lock freed",))
def _freed(match: re.Match[str], body: Body) -> Name:
    where = _taken_at(body, "held lock freed")
    word = "BUG" if "BUG" in match["head"] else "WARNING"
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(f"{word}: held lock freed", where or on_stack(body)),
        corrupted=None if where else "the line that says where the lock was taken is missing",
    )


@report(
    "lockdep-held",
    rf"(?P<head>{_HEAD})(?:.*?still has locks held|lock held when returning to user space"
    rf"|lock held at task exit)",
    words=(
        "lock held at task exit",
        "lock held when returning to user space",
        "still has locks held",
    ),
)
def _held(match: re.Match[str], body: Body) -> Name:
    word = "BUG" if "BUG" in match["head"] else "WARNING"
    if "returning" in match.group():
        where = _taken_at(body, "leaving the kernel with locks still held") or _taken_at(
            body, "returning"
        )
        return Name(
            kind=Kind.LOCK_MISUSE,
            title=in_function(f"{word}: lock held when returning to user space", where),
            needs_trace=False,
        )
    where = _taken_at(body, "locks held") or _taken_at(body, "held")
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(f"{word}: still has locks held", where or on_stack(body)),
    )


@report(
    "lockdep-nested", rf"{_HEAD}[Nn]ested lock was not taken", words=("ested lock was not taken",)
)
def _nested(match: re.Match[str], body: Body) -> Name:
    return _lock_report(body, "WARNING: nested lock was not taken", "is trying to lock")


@report(
    "lockdep-key",
    r"INFO: trying to register non-static key",
    words=("INFO: trying to register non-static key",),
)
def _key(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function("INFO: trying to register non-static key", on_stack(body, _LOCKING)),
    )


@report(
    "lockdep-rcu",
    rf"(?P<head>{_HEAD})suspicious RCU usage|(?:INFO"
    rf"|WARNING): suspicious rcu_dereference_check\(\) usage",
    words=(": suspicious rcu_dereference_check() usage", "suspicious RCU usage"),
)
def _suspicious_rcu(match: re.Match[str], body: Body) -> Name:
    word = "INFO" if "INFO" in match.group() else "WARNING"
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(f"{word}: suspicious RCU usage", on_stack(body, _RCU)),
    )


@report(
    "lockdep-limit",
    r"BUG: (?P<what>MAX_\w+|MAX_STACK_TRACE_ENTRIES|MAX_LOCK_DEPTH|MAX_LOCKDEP_\w+) too low",
    words=("BUG: MAX_",),
)
def _limit(match: re.Match[str], body: Body) -> Name:
    return Name(kind=Kind.LOCK_MISUSE, title=f"BUG: {match['what']} too low!", needs_trace=False)


@report(
    "lockdep-bug",
    r"BUG: key \S+ (?:not in \.data|has not been registered)|BUG: looking up invalid subclass"
    r"|BUG: lock .{1,80} (?:not held|already held)|BUG: circular locking deadlock detected",
    words=(
        "BUG: circular locking deadlock detected",
        "BUG: key ",
        "BUG: lock ",
        "BUG: looking up invalid subclass",
    ),
)
def _lockdep_bug(match: re.Match[str], body: Body) -> Name:
    return Name(kind=Kind.LOCK_MISUSE, title=in_function("BUG: lockdep", on_stack(body)))


@report(
    "spinlock",
    r"BUG: (?P<lock>spinlock|rwlock|raw_spinlock|(?:read|write)-lock)[ -]"
    r"(?P<what>lockup suspected|lockup"
    r"|already unlocked|recursion|bad magic|wrong owner|wrong CPU|cpu recursion"
    r"|trylock failure on UP|uninitialized)",
    words=(
        "BUG: raw_spinlock",
        "BUG: read-lock",
        "BUG: rwlock",
        "BUG: spinlock",
        "BUG: write-lock",
    ),
)
def _spinlock(match: re.Match[str], body: Body) -> Name:
    kind = Kind.SPINLOCK_STUCK if "lockup" in match["what"] else Kind.LOCK_MISUSE
    return Name(
        kind=kind,
        title=in_function(f"BUG: {match['lock']} {match['what']}", on_stack(body, _SPIN)),
    )


@report(
    "sleeping",
    r"BUG: sleeping function called from invalid context at (?P<file>\S+?)(?::\d+)?\s*$"
    r"|BUG: sleeping function called from invalid context",
    words=("BUG: sleeping function called from invalid context",),
)
def _sleeping(match: re.Match[str], body: Body) -> Name:
    function = on_stack(body)
    return Name(
        kind=Kind.ATOMIC_SLEEP,
        title=in_function("BUG: sleeping function called from invalid context", function),
    )


@report(
    "scheduling",
    r"(?:BUG: |^)scheduling (?:while|with) (?:atomic"
    r"|irqs disabled)(?::? (?P<comm>.{1,64}?)/(?P<pid>\d+)/0x)?",
    words=("scheduling w",),
)
def _scheduling(match: re.Match[str], body: Body) -> Name:
    skipped = skip(
        "sched",
        "preempt",
        "_lock",
        "^_*wait_",
        "^do_wait",
        "mutex",
        "completion",
        "_slowpath",
        "rwsem",
    )
    return Name(
        kind=Kind.ATOMIC_SLEEP,
        title=in_function("BUG: scheduling while atomic", on_stack(body, skipped)),
    )


@report("preemptible", r"BUG: using (?P<what>\w+)\(\) in preemptible", words=("() in preemptible",))
def _preemptible(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(
            f"BUG: using {match['what']}() in preemptible code", on_stack(body, _PREEMPT)
        ),
    )


@report(
    "assuming", r"BUG: assuming (?P<what>atomic|non migratable) context", words=("BUG: assuming ",)
)
def _assuming(match: re.Match[str], body: Body) -> Name:
    """``cant_sleep()``, ``cant_migrate()``: the reverse of might_sleep()."""
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function(f"BUG: assuming {match['what']} context", on_stack(body)),
    )


@report(
    "workqueue-leak", r"BUG: workqueue leaked (?:lock|atomic).*", words=("BUG: workqueue leaked ",)
)
def _workqueue_leak(match: re.Match[str], body: Body) -> Name:
    last = re.search(r"last function: ([A-Za-z_][\w.]*)", body.window(8))
    function = plain(last[1]) if last else None
    return Name(
        kind=Kind.LOCK_MISUSE,
        title=in_function("BUG: workqueue leaked lock or atomic", function or first_named(())),
        needs_trace=False,
        corrupted=None if last else "the line that names the work's function is missing",
    )


@report(
    "voluntary-context-switch",
    r"Voluntary context switch within RCU read-side critical section|Illegal context switch in RCU",
    detail_of=("lockdep-rcu", "warning"),
    words=(
        "Illegal context switch in RCU",
        "Voluntary context switch within RCU read-side critical section",
    ),
)
def _voluntary(match: re.Match[str], body: Body) -> Name:
    return Name(
        kind=Kind.ATOMIC_SLEEP,
        title=in_function(
            "WARNING: context switch in an RCU read-side critical section", on_stack(body, _RCU)
        ),
    )
