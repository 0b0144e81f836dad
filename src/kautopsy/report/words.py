"""How the parts of a report read, for every renderer: plain text, not yet escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Frame, TaskRef
from kautopsy.model.dump import DumpFile
from kautopsy.model.finding import Culprit, Finding, TaskRole
from kautopsy.model.machine import (
    BacktraceOf,
    Consumer,
    ConsumerKind,
    CpuContext,
    CpuState,
    LockKind,
    MemoryUse,
    WaitEdge,
)
from kautopsy.model.report import Report, Symbols, SymbolSource, System
from kautopsy.report import units

_SOURCES = {
    SymbolSource.DWARF: "debuginfo",
    SymbolSource.BTF: "no vmlinux: names and types from the dump itself (BTF, kallsyms)",
    SymbolSource.KIT: "no vmlinux: names and types from a symbol kit",
    SymbolSource.KALLSYMS: "no vmlinux: names from the dump itself (kallsyms), no types",
    SymbolSource.NONE: "no vmlinux, and no names in the dump",
}


DUMPFILE = "Dumpfile"


@dataclass(frozen=True)
class Fact:
    """A row of a report's header: ``missing`` if ``value`` says why there is none."""

    label: str
    value: str
    missing: bool = False


def facts(report: Report) -> Iterator[Fact]:
    """The rows that ``crash`` shows when it starts, in its order and words."""
    if report.dump is not None:
        yield Fact("Kernel", symbols(report.symbols))
        yield Fact(DUMPFILE, dump(report.dump))
    elif report.log_file is not None:
        yield Fact("Log", report.log_file)
    if report.system is not None:
        yield from _system(report.system)
    yield from facts_of_crash(report)


def facts_of_crash(report: Report) -> Iterator[Fact]:
    """Those of :func:`facts` that are only known when the crash is."""
    if report.crash is not None:
        yield from _crash(report.crash, alone=report.system is None)


def release(report: Report) -> str:
    """What ``uname -r`` gave; empty if unknown."""
    if report.system is not None and isinstance(report.system.release, str):
        return report.system.release
    if report.dump is not None and report.dump.release:
        return report.dump.release
    return (report.crash.release if report.crash is not None else None) or ""


def symbols(symbols: Symbols) -> str:
    """Where names, types and lines come from."""
    return symbols.vmlinux or _SOURCES[symbols.source]


def dump(dump: DumpFile) -> str:
    """A dump's path and what its headers say."""
    notes = [dump.format.value, units.size(dump.size_bytes)]
    if dump.compression:
        notes.append(dump.compression)
    if dump.dump_level is not None:
        notes.append(f"dump level {dump.dump_level}")
    if not dump.complete:
        notes.append("INCOMPLETE")
    return f"{dump.path}  [{', '.join(notes)}]"


def _system(system: System) -> Iterator[Fact]:
    cpus = _read(system.cpus)
    if (
        isinstance(system.cpus, int)
        and isinstance(system.cpus_online, int)
        and system.cpus_online < system.cpus
    ):
        cpus = f"{system.cpus} [OFFLINE: {system.cpus - system.cpus_online}]"
    yield _fact("CPUs", cpus)
    time = system.crash_time
    yield _fact("Date", time if isinstance(time, Unreadable) else units.date(time))
    uptime = system.uptime_seconds
    yield _fact("Uptime", uptime if isinstance(uptime, Unreadable) else units.duration(uptime))
    load = system.load_average
    yield _fact(
        "Load average",
        load if isinstance(load, Unreadable) else ", ".join(f"{x:.2f}" for x in load),
    )
    yield _fact("Tasks", _read(system.tasks))
    yield _fact("Nodename", system.nodename)
    yield _fact("Release", system.release)
    yield _fact("Version", system.version)
    yield _fact("Machine", system.machine)
    memory = system.memory_bytes
    yield _fact("Memory", memory if isinstance(memory, Unreadable) else units.size(memory))
    tainted = system.tainted
    if isinstance(tainted, Unreadable):
        yield _fact("Tainted", tainted)
    elif tainted:
        yield Fact("Tainted", " ".join(tainted))
    panic = system.panic
    yield _fact("Panic", panic if isinstance(panic, Unreadable) else f'"{panic}"')


def _crash(crash: Crash, *, alone: bool) -> Iterator[Fact]:
    if alone:
        if crash.release:
            yield Fact("Release", crash.release)
        if crash.hardware:
            yield Fact("Hardware", crash.hardware)
        if crash.tainted:
            yield Fact("Tainted", " ".join(crash.tainted))
        if crash.text is not None:
            yield Fact("Lines", f"{crash.text.first_line} to {crash.text.last_line} of the log")
    if crash.task is not None:
        yield Fact("PID", "?" if crash.task.pid is None else str(crash.task.pid))
        yield Fact("Command", f'"{crash.task.comm}"')
    if crash.cpu is not None:
        yield Fact("CPU", str(crash.cpu))


def _read(value: int | Unreadable) -> str | Unreadable:
    return value if isinstance(value, Unreadable) else str(value)


def _fact(label: str, value: str | Unreadable) -> Fact:
    if isinstance(value, Unreadable):
        return Fact(label, f"({value})", missing=True)
    return Fact(label, value)


def reported(crash: Crash) -> str:
    """What was reported and who pulled the trigger."""
    by = f", trigger {crash.trigger.value}" if crash.trigger is not None else ""
    return f"{crash.kind.value}{by}: {crash.title}"


def from_log(report: Report) -> bool:
    """Whether the crash's backtrace is what a dump's log has, not a stack.

    So it is where a hypervisor dumped a machine that had not panicked.
    """
    crash = report.crash
    return (
        report.dump is not None
        and crash is not None
        and bool(crash.frames)
        and all(frame.address is None for frame in crash.frames)
    )


def lacks(report: Report) -> tuple[str, ...]:
    """What is missing from the report and why, the dump's own problems first."""
    problems: list[str] = []
    if report.dump is not None:
        problems += report.dump.problems
        if not report.dump.complete and not problems:
            problems.append("the dump is incomplete")
    problems += report.symbols.notes
    if report.crash is not None and report.crash.corrupted:
        problems.append(
            f"the crash's text cannot be trusted: {report.crash.corrupted_reason or 'garbled'}"
        )
    return tuple(dict.fromkeys(problems))


def verdict_finding(report: Report) -> Finding | None:
    """The finding that the verdict chose."""
    verdict = report.verdict
    if verdict is None or verdict.finding is None:
        return None
    if not 0 <= verdict.finding < len(report.findings):
        return None
    return report.findings[verdict.finding]


def other_findings(report: Report) -> tuple[Finding, ...]:
    """All findings but the verdict's, the surest first."""
    chosen = verdict_finding(report)
    others = (finding for finding in report.findings if finding is not chosen)
    return tuple(sorted(others, key=lambda finding: -finding.confidence))


def place(file: str | None, line: int | None) -> str:
    """``mm/slub.c:123``; empty if unknown."""
    if not file:
        return ""
    return file if line is None else f"{file}:{line}"


def culprit(culprit: Culprit) -> str:
    """``function [module] at file:line``."""
    text = culprit.function or "(unknown function)"
    if culprit.module:
        text += f" [{culprit.module}]"
    where = place(culprit.file, culprit.line)
    return f"{text} at {where}" if where else text


def offset(frame: Frame) -> str:
    """``+0x1c/0x80``; empty where it means nothing."""
    if frame.offset is None or frame.inline:
        return ""
    size = "" if frame.size is None else f"/{frame.size:#x}"
    return f"+{frame.offset:#x}{size}"


def frame(frame: Frame) -> str:
    """One frame of a backtrace without its address."""
    text = "" if frame.reliable else "? "
    text += (frame.function or "(unknown)") + offset(frame)
    if frame.module:
        text += f" [{frame.module}]"
    if frame.inline:
        text += " (inlined)"
    where = place(frame.file, frame.line)
    return f"{text} at {where}" if where else text


def numbered(frames: tuple[Frame, ...]) -> Iterator[tuple[int | None, Frame]]:
    """Each frame with its number; inline ones have none, they share that of the one they are in."""
    number = 0
    for one in frames:
        if one.inline:
            yield None, one
        else:
            yield number, one
            number += 1


def task(task: TaskRef | TaskRole) -> str:
    """``comm (pid 1)``."""
    return f"{task.comm} (pid {'?' if task.pid is None else task.pid})"


def idle(cpu: CpuState) -> bool:
    """Whether the scheduler had put nothing but the idle task there."""
    return cpu.task is None or cpu.task.pid == 0


def cpu_runs(cpu: CpuState) -> str:
    """``comm (pid 1)``; empty for the idle task."""
    return "" if cpu.task is None or idle(cpu) else task(cpu.task)


def dull(cpu: CpuState) -> bool:
    """Whether there is nothing to say about a CPU but that it idled."""
    return cpu.context is CpuContext.IDLE and not cpu.note and not cpu.crashed


MEMORY = {
    "anon": "processes",
    "shmem": "shared memory and tmpfs",
    "file": "page cache",
    "hugetlb": "huge pages",
    "slab_unreclaimable": "unreclaimable slab",
    "slab_reclaimable": "reclaimable slab",
    "vmalloc": "vmalloc",
    "percpu": "per-CPU",
    "kernel_stacks": "kernel stacks",
    "page_tables": "page tables",
    "unaccounted": "unaccounted",
    "free": "free",
}
"""What the parts of :class:`~kautopsy.model.machine.MemoryUse` are called."""


def memory_parts(memory: MemoryUse) -> list[tuple[str, int]]:
    """Field name and bytes of every part that is not empty, what is free last."""
    parts = [part for part in memory.parts() if part[0] != "free" and part[1] > 0]
    if memory.unaccounted:
        parts.append(("unaccounted", memory.unaccounted))
    if isinstance(memory.free, int):
        parts.append(("free", memory.free))
    return parts


def consumer_kind(consumer: Consumer) -> str:
    """``process``, ``slab cache``, ``cgroup``."""
    return "slab cache" if consumer.kind is ConsumerKind.SLAB else consumer.kind.value


def consumer(consumer: Consumer) -> str:
    """A consumer's name, a process's with its pid, a slab cache's with its objects."""
    if consumer.pid is not None:
        return f"{consumer.name} (pid {consumer.pid})"
    if consumer.count is not None:
        return f"{consumer.name} ({consumer.count:,} objects)"
    return consumer.name


_LOCKS = {
    LockKind.RWSEM_READ: "rwsem (to read)",
    LockKind.RWSEM_WRITE: "rwsem (to write)",
    LockKind.WAIT_QUEUE: "wait queue",
    LockKind.RT_MUTEX: "rt-mutex",
    LockKind.IO: "I/O",
    LockKind.PAGE: "page lock",
    LockKind.PERCPU_RWSEM: "per-CPU rwsem",
    LockKind.BIT: "bit lock",
    LockKind.OTHER: "something",
}


def lock_kind(kind: LockKind, *, short: bool = False) -> str:
    """A kind of lock; ``short`` without how it was taken."""
    text = _LOCKS.get(kind, kind.value)
    return text.split(" (")[0] if short else text


def lock(edge: WaitEdge) -> str:
    """``mutex lock_a (0xffff...)``."""
    kind = lock_kind(edge.lock)
    address = f"{edge.address:#x}" if edge.address is not None else ""
    # Where a lock has no name its address may stand for one.
    if edge.name and edge.name != address:
        return f"{kind} {edge.name}" + (f" ({address})" if address else "")
    return f"{kind} {address}".strip()


def waits(edges: Iterable[WaitEdge]) -> list[tuple[WaitEdge, str]]:
    """A sentence on each wait, those of a cycle first, with the edge that it is about.

    Tasks of one name that wait for one lock in one function share a sentence and its first edge.
    """
    crowds: dict[tuple[object, ...], list[WaitEdge]] = {}
    for number, edge in enumerate(edges):
        alike = (edge.waiter.comm, edge.lock, edge.name, edge.address, edge.owner, edge.function)
        crowds.setdefault((number,) if edge.cycle else alike, []).append(edge)
    ranked = sorted(
        crowds.values(),
        key=lambda crowd: (not crowd[0].cycle, crowd[0].owner is None, -len(crowd)),
    )
    return [(crowd[0], _wait(crowd)) for crowd in ranked]


def _wait(crowd: list[WaitEdge]) -> str:
    edge = crowd[0]
    if len(crowd) == 1:
        text = f"{task(edge.waiter)} waits for {lock(edge)}"
    else:
        pids = [str(one.waiter.pid) for one in crowd[:3]]
        more = ", ..." if len(crowd) > 3 else ""
        text = f"{len(crowd)} × {edge.waiter.comm} (pids {', '.join(pids)}{more})"
        text += f" wait for {lock(edge)}"
    if edge.owner is not None:
        text += f", held by {task(edge.owner)}"
    if edge.function:
        text += f", in {edge.function}"
    longest = max((one.seconds for one in crowd if one.seconds is not None), default=None)
    if longest is not None:
        text += f", for {'up to ' if len(crowd) > 1 else ''}{units.span(longest)}"
    return text


def standing(trace: BacktraceOf) -> str:
    """A task's state in words: ``D for 124 s, CPU 3``."""
    parts = []
    if trace.state:
        since = "" if trace.seconds is None else f" for {units.span(trace.seconds)}"
        parts.append(f"state {trace.state}{since}")
    if trace.cpu is not None:
        parts.append(f"CPU {trace.cpu}")
    return ", ".join(parts)


def wrap(text: str, width: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """``text`` in lines of ``width``; ``first`` starts the first, ``rest`` the others."""
    return textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
