"""The report on a log: what the text of a crash can tell, and no more.

A log says what the kernel noticed. For an oops that is most of the story; where a watchdog or an
operator stopped the machine, the log names a victim at best, and the verdict says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from kautopsy.fingerprint.exact import significant
from kautopsy.model.crash import Crash, Kind, Trigger
from kautopsy.model.errors import UnreadableError
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole, Verdict
from kautopsy.model.report import Report, Symbols, SymbolSource
from kautopsy.oops import read_crashes
from kautopsy.triage.verdict import THRESHOLD

_BEFORE = 300
"""Lines of the log before the crash that a report carries."""
_MOST_LINES = 300
"""Lines of the crash itself."""
_LONGEST_LINE = 4096
_ONLY_A_LOG = "only a log: what the kernel noticed, not the state it died in"
_KEPT = 20
"""Other crashes of the log that are told."""

# What a watchdog names is a victim: the task that did not get on, not who kept it from that.
_VICTIMS = frozenset(
    {
        Kind.SOFT_LOCKUP,
        Kind.HARD_LOCKUP,
        Kind.SPINLOCK_STUCK,
        Kind.RCU_STALL,
        Kind.WORKQUEUE_STALL,
        Kind.HUNG_TASK,
        Kind.OUT_OF_MEMORY,
        Kind.WATCHDOG,
    }
)
_ASKED = frozenset({Kind.OPERATOR_SYSRQ, Kind.OPERATOR_NMI})
# Reports after which a kernel goes on, unless it was told to panic.
_SURVIVED = frozenset(
    {
        Kind.WARNING,
        Kind.LOCK_MISUSE,
        Kind.DATA_RACE,
        Kind.MEMORY_LEAK,
        Kind.MEMORY_SAFETY,
        Kind.REFCOUNT,
        Kind.ATOMIC_SLEEP,
    }
)


def report_on_log(path: Path) -> Report:
    """The report on the crash in ``path`` that ended the machine, or on the worst that is there.

    :raises UnreadableError: the file cannot be read
    """
    try:
        with path.open("rb") as stream:
            chosen, others, count = choose(read_crashes(stream))
    except OSError as error:
        raise UnreadableError(
            error.strerror or str(error), thing=str(path), slug="unreadable"
        ) from error
    notes = [_ONLY_A_LOG]
    if count > 1:
        notes.append(f"the log holds {count} crash reports; this is about the one that ended it")
    start, lines = _lines_up_to(path, chosen)
    if chosen is None:
        report = Report(
            dump=None,
            symbols=Symbols(source=SymbolSource.NONE, notes=tuple(notes)),
            system=None,
            crash=None,
            verdict=Verdict(kind=Kind.UNKNOWN, title="the log holds no crash", confidence=0.0),
        )
    else:
        report = report_on_crash(chosen, others, notes=tuple(notes))
    return msgspec.structs.replace(report, log=lines, log_file=str(path), log_start=start)


def report_on_crash(
    crash: Crash, others: Sequence[Crash] = (), *, notes: tuple[str, ...] = ()
) -> Report:
    """The report on a crash of which only the text is known.

    :param others: that stand in the same log
    """
    findings = (finding(crash), *(_also(other) for other in others))
    return Report(
        dump=None,
        symbols=Symbols(source=SymbolSource.NONE, notes=notes or (_ONLY_A_LOG,)),
        system=None,
        crash=crash,
        findings=findings,
        verdict=_verdict(findings[0]),
    )


def report_on_logs(paths: Sequence[Path]) -> Report:
    """The report on the first of ``paths`` that holds a crash, or on the first if none does."""
    reports: list[Report] = []
    for path in paths:
        report = report_on_log(path)
        if report.crash is not None:
            return report
        reports.append(report)
    return reports[0]


def add_log(report: Report, paths: Sequence[Path]) -> Report:
    """``report`` on a dump whose own log cannot be read, with the log that was saved beside it."""
    text = report_on_logs(paths)
    notes = (
        *report.symbols.notes,
        f"the log is that of {text.log_file}: the dump's own cannot be read",
    )
    report = msgspec.structs.replace(
        report,
        log=text.log,
        log_file=text.log_file,
        log_start=text.log_start,
        symbols=msgspec.structs.replace(report.symbols, notes=notes),
    )
    if text.crash is None:
        return report
    known = report.crash is not None and report.crash.kind is not Kind.UNKNOWN
    if not known:
        report = msgspec.structs.replace(report, crash=text.crash)
    if report.verdict is None or report.verdict.finding is None:
        # The findings of the log come last: the verdict's index points among all of them.
        place = len(report.findings)
        verdict = text.verdict
        if verdict is not None and verdict.finding is not None:
            verdict = msgspec.structs.replace(verdict, finding=place + verdict.finding)
        report = msgspec.structs.replace(
            report, findings=(*report.findings, *text.findings), verdict=verdict
        )
    return report


def choose(crashes: Iterable[Crash]) -> tuple[Crash | None, tuple[Crash, ...], int]:
    """The crash that ended the machine, the last of the others, and how many there are in all.

    It is the last of the gravest ones. Oopses after the first carry the taint D (``TAINT_DIE``, set
    in ``oops_end``): they are what a dying kernel stumbles over, and count less than the first.
    """
    best: Crash | None = None
    others: deque[Crash] = deque(maxlen=_KEPT)
    count = 0
    for crash in crashes:
        count += 1
        if best is None or _gravity(crash) >= _gravity(best):
            if best is not None:
                others.append(best)
            best = crash
        else:
            others.append(crash)
    return best, tuple(others), count


def _gravity(crash: Crash) -> tuple[int, bool]:
    first = "D" not in crash.tainted and not crash.corrupted
    if crash.kind is Kind.OUT_OF_MEMORY and crash.title.startswith("kernel panic"):
        # After it there is nothing; an allocation that failed without it is survived.
        return 3, first
    panicked = any("Kernel panic" in line for line in crash.follow_ups)
    # Without one it was survived, be it that of the capture kernel on a slow machine.
    survivable = (None, Trigger.SOFT_LOCKUP, Trigger.OUT_OF_MEMORY)
    if crash.trigger in survivable and not panicked:
        return (0 if crash.kind in _SURVIVED else 1), first
    return 2, first


def finding(crash: Crash) -> Finding:
    """What the text of one crash says went wrong, as sure as text can be."""
    culprit = _culprit(crash)
    confidence, explanation = _explain(crash, culprit)
    tasks: tuple[TaskRole, ...] = ()
    if crash.task is not None and crash.task.pid is not None:
        role = "victim" if crash.kind in _VICTIMS else "panicking"
        tasks = (TaskRole(pid=crash.task.pid, comm=crash.task.comm, role=role),)
    return Finding(
        kind=crash.kind,
        title=crash.title,
        explanation=explanation,
        confidence=confidence,
        severity=_severity(crash),
        culprit=None if crash.kind in _ASKED else culprit,
        tasks=tasks,
        evidence=tuple(_evidence(crash)),
        next=_next(crash),
    )


def _culprit(crash: Crash) -> Culprit | None:
    for frame in significant(crash):
        return Culprit(
            function=frame.function, module=frame.module, file=frame.file, line=frame.line
        )
    return None


def _explain(crash: Crash, culprit: Culprit | None) -> tuple[float, str]:
    where = ""
    if culprit is not None and culprit.function:
        module = f" of module {culprit.module}" if culprit.module else ""
        where = (
            " The first function on the stack that is no common helper is "
            f"{culprit.function}{module}."
        )
    if crash.corrupted:
        return 0.3, (
            f"The text of this crash cannot be trusted ({crash.corrupted_reason or 'garbled'}), "
            "so neither can what is read from it."
        )
    if crash.kind in _ASKED:
        return 0.6, (
            "Somebody asked for this crash. Whether the machine was well before, or hung and given "
            "up on, is not in the text: a dump would tell."
        )
    if crash.kind in _VICTIMS:
        return 0.6, (
            "A watchdog of the kernel reported a task or a CPU that did not get on. Such a report "
            f"names the victim; who kept it waiting is usually somebody else.{where}"
        )
    if crash.kind is Kind.UNKNOWN:
        return 0.2, f"The kernel stopped, but its text does not say what for.{where}"
    confidence = 0.85 if culprit is not None else 0.7
    return confidence, f"This is what the kernel itself reported.{where}"


def _severity(crash: Crash) -> Severity:
    if crash.kind in _ASKED:
        return Severity.INFO
    return Severity.FATAL if _gravity(crash)[0] == 2 else Severity.WARNING


def _evidence(crash: Crash) -> Iterable[Evidence]:
    if crash.text is not None:
        yield Evidence(
            what="in the log", value=f"lines {crash.text.first_line} to {crash.text.last_line}"
        )
    if crash.instruction is not None and crash.instruction.function:
        at = crash.instruction
        module = f" [{at.module}]" if at.module else ""
        offset = f"+{at.offset:#x}" if at.offset is not None else ""
        yield Evidence(what="instruction", value=f"{at.function}{offset}{module}")
    for title in crash.titles[:5]:
        yield Evidence(what="also known as", value=title)


def _next(crash: Crash) -> tuple[str, ...]:
    if crash.kind in _ASKED or crash.kind in _VICTIMS:
        return (
            "Get the dump of this crash, if there is one: it tells who waits for whom and what "
            "each CPU was doing.",
            "If there is none, make the machine ready to leave one: kautopsy doctor.",
        )
    return (
        "Look the title and the first functions of the backtrace up: kautopsy similar.",
        "With the kernel's debuginfo, kautopsy oops --vmlinux FILE gives source lines.",
    )


def _also(crash: Crash) -> Finding:
    found = finding(crash)
    # It did not end the machine: less than certain to matter, below what did.
    return msgspec.structs.replace(
        found,
        confidence=min(found.confidence, 0.4),
        severity=Severity.INFO if found.severity is Severity.INFO else Severity.WARNING,
    )


def _verdict(found: Finding) -> Verdict:
    if found.confidence < THRESHOLD:
        return Verdict(
            kind=Kind.UNKNOWN,
            title="the log is not enough to name a cause",
            confidence=0.0,
        )
    function = found.culprit.function if found.culprit is not None else None
    return Verdict(
        kind=found.kind,
        title=found.title,
        confidence=found.confidence,
        culprit=found.culprit,
        finding=0,
        key=":".join((found.kind.value, function)) if function else found.kind.value,
    )


def _lines_up_to(path: Path, crash: Crash | None) -> tuple[int | None, tuple[str, ...]]:
    """The crash's lines and those before it, or the file's last; and the number of the first."""
    with path.open("rb") as stream:
        if crash is None or crash.text is None:
            return None, tuple(_text(line) for line in deque(stream, maxlen=_BEFORE))
        first = max(crash.text.first_line - _BEFORE, 1)
        last = min(crash.text.last_line, crash.text.first_line + _MOST_LINES)
        return first, tuple(_text(line) for line in islice(stream, first - 1, last))


def _text(line: bytes) -> str:
    return line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").rstrip("\r\n")
