"""The verdict: which finding explains the others.

A cause beats a symptom: a deadlock over the hung tasks behind it, the holder of a spinlock over
the soft lockup of its victim, a leak over the kill by which it was noticed. What an operator asked
for explains nothing as long as anything else is found. Among findings of one rank the more certain
wins.

The rank depends on who pulled the trigger. A CPU that faulted or code that called panic() *is* the
reason that the machine stopped, and tasks that happened to hang then are not. A watchdog or an
operator only looked on, so the hang comes first. Of the faults that the log tells of from before,
damage to memory explains a hang; any other that the machine survived is over, unless it is all
there is. A warning that the machine survived says nothing against its health.

That somebody asked and nothing was wrong is as certain as the strongest suspicion leaves it.
"""

from __future__ import annotations

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.finding import Finding, Severity, Verdict

THRESHOLD = 0.5
"""Below this confidence the verdict is ``unknown``, with the findings listed."""

DOUBTED = 0.45
"""What is left of any confidence in a dump whose pages may be taken for others."""

_DAMAGE = (
    Kind.MACHINE_CHECK,
    Kind.HARDWARE_NMI,
    Kind.USE_AFTER_FREE,
    Kind.STACK_OVERFLOW,
    Kind.SLAB_CORRUPTION,
    Kind.LIST_CORRUPTION,
    Kind.PAGE_CORRUPTION,
    Kind.REFCOUNT,
    Kind.MEMORY_SAFETY,
)
_OTHER_FAULTS = (
    Kind.NULL_DEREFERENCE,
    Kind.EXEC_FAULT,
    Kind.BAD_POINTER,
    Kind.DIVIDE_ERROR,
    Kind.INVALID_OPCODE,
    Kind.DOUBLE_FAULT,
    Kind.BUG,
)
_FAULTS = (*_DAMAGE, *_OTHER_FAULTS)
_HANGS = (
    Kind.DEADLOCK,
    Kind.IO_HANG,
    Kind.SPINLOCK_STUCK,
    Kind.MEMORY_LEAK,
    Kind.ATOMIC_SLEEP,
    Kind.HARD_LOCKUP,
    Kind.WORKQUEUE_STALL,
    Kind.SOFT_LOCKUP,
    Kind.RCU_STALL,
    Kind.HUNG_TASK,
    Kind.OUT_OF_MEMORY,
)
_STOPS = (
    Kind.INIT_DIED,
    Kind.ROOT_MOUNT_FAILURE,
    Kind.FILESYSTEM_PANIC,
    Kind.WATCHDOG,
    Kind.PANIC,
)
_REMARKS = (Kind.LOCK_MISUSE, Kind.DATA_RACE, Kind.WARNING)
_ASKED = (Kind.OPERATOR_SYSRQ, Kind.OPERATOR_NMI)

_OF_ITSELF = (Trigger.OOPS, Trigger.PANIC, Trigger.MACHINE_CHECK)


def _order(trigger: Trigger | None, kind: Kind) -> tuple[Kind, ...]:
    """Kinds, most explaining first.

    :param kind: as reported
    """
    if kind is Kind.RCU_STALL:
        # A CPU that loops in a read-side critical section is stuck too, but RCU said what hurts.
        first = (*_HANGS[:6], Kind.RCU_STALL)
        return (*first, *_FAULTS, *_HANGS[6:], *_STOPS, *_REMARKS, *_ASKED)
    if trigger is Trigger.PANIC and kind in _HANGS:
        # panic() called by a watchdog of the kernel.
        return (*_HANGS, *_FAULTS, *_STOPS, *_REMARKS, *_ASKED)
    if trigger in _OF_ITSELF:
        # A task that hangs is not why a CPU faulted, nor why somebody called panic().
        return (*_FAULTS, *_REMARKS, *_STOPS, *_HANGS, *_ASKED)
    if trigger is Trigger.OUT_OF_MEMORY:
        return (Kind.MEMORY_LEAK, Kind.OUT_OF_MEMORY, *_FAULTS, *_HANGS, *_STOPS, *_ASKED)
    return (
        *_HANGS[:3],
        *_DAMAGE,
        *_HANGS[3:],
        *_OTHER_FAULTS,
        *_STOPS,
        *_REMARKS,
        *_ASKED,
    )


def weigh(
    findings: tuple[Finding, ...], *, trigger: Trigger | None = None, reported: Kind = Kind.UNKNOWN
) -> Verdict:
    """The verdict over ``findings``.

    :param trigger: who pulled it (``crash.trigger``)
    :param reported: what was reported (``crash.kind``)
    """
    order = _order(trigger, reported)
    ranks = {kind: rank for rank, kind in reversed(list(enumerate(order)))}

    def weight(index: int) -> tuple[bool, int, float]:
        finding = findings[index]
        # A warning or a remark explains a death only where nothing else does.
        return (
            finding.severity is Severity.WARNING,
            ranks.get(finding.kind, len(order)),
            -finding.confidence,
        )

    certain = [i for i, finding in enumerate(findings) if finding.confidence >= THRESHOLD]
    asked = [i for i in certain if findings[i].kind in _ASKED]
    real = [
        i
        for i in certain
        if i not in asked and not (asked and findings[i].severity is Severity.WARNING)
    ]
    if not certain:
        return Verdict(
            kind=Kind.UNKNOWN,
            title="no finding is certain enough to name a cause",
            confidence=0.0,
            key="unknown",
        )
    best = min(real, key=weight) if real else asked[0]
    finding = findings[best]
    confidence = finding.confidence
    if not real:
        suspicions = [
            one.confidence
            for one in findings
            if one.kind in _HANGS or one.severity is Severity.FATAL
        ]
        confidence = round(min(confidence, 1 - max(suspicions, default=0.0)), 2)
    return Verdict(
        kind=finding.kind,
        title=finding.title,
        confidence=confidence,
        culprit=finding.culprit,
        finding=best,
        key=finding.key or finding.kind.value,
    )
