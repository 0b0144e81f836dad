"""``kautopsy report``: everything known about one dump or log."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from kautopsy.model.base import Noun, Unreadable
from kautopsy.model.crash import Crash
from kautopsy.model.dump import DumpFile
from kautopsy.model.finding import Finding, Verdict
from kautopsy.model.machine import BacktraceOf, CpuState, MemoryUse, WaitEdge


class SymbolSource(StrEnum):
    """The ladder of symbols, best first; a report always says on which rung it stands."""

    DWARF = "dwarf"
    BTF = "btf"
    KIT = "kit"
    KALLSYMS = "kallsyms"
    NONE = "none"


class Symbols(Noun, frozen=True, kw_only=True):
    """Where names, types and lines came from, and what could not be had.

    :param vmlinux: path of the file with the kernel's DWARF, where one was used
    """

    source: SymbolSource
    vmlinux: str | None = None
    notes: tuple[str, ...] = ()


class System(Noun, frozen=True, kw_only=True):
    """The header that ``crash`` shows.

    :param version: ``init_uts_ns.name.version``, the build line
    :param cpus: CPUs present; ``cpus_online`` of them were online
    :param crash_time: seconds since the Unix epoch
    :param uptime_seconds: of the kernel that died
    :param load_average: over 1, 5 and 15 minutes
    :param tasks: threads alive, the idle tasks included (as ``crash`` counts them)
    :param panic: the panic message, without "Kernel panic - not syncing: "
    :param tainted: taint letters, one an entry
    """

    release: str | Unreadable
    version: str | Unreadable
    nodename: str | Unreadable
    machine: str | Unreadable
    cpus: int | Unreadable
    memory_bytes: int | Unreadable
    crash_time: float | Unreadable
    uptime_seconds: float | Unreadable
    load_average: tuple[float, float, float] | Unreadable
    tasks: int | Unreadable
    tainted: tuple[str, ...] | Unreadable
    cpus_online: int | Unreadable
    panic: str | Unreadable


class Report(Noun, frozen=True, kw_only=True):
    """The report on a dump (``dump`` and ``system`` are None where a log was reported)."""

    schema: Literal["kautopsy.report/1"] = "kautopsy.report/1"
    dump: DumpFile | None
    symbols: Symbols
    system: System | None
    crash: Crash | None
    findings: tuple[Finding, ...] = ()
    verdict: Verdict | None = None
    log: tuple[str, ...] | Unreadable = ()
    """The last lines of the kernel log, as dmesg prints them."""
    log_file: str | None = None
    """Path of the text log that was reported."""
    log_start: int | None = None
    """Number of the first of these lines in ``log_file``, from 1."""
    cpus: tuple[CpuState, ...] | Unreadable = ()
    """What each CPU was doing; empty where that was not looked at."""
    memory: MemoryUse | None = None
    waits: tuple[WaitEdge, ...] | Unreadable = ()
    """Who waits for whom, those of a cycle first."""
    backtraces: tuple[BacktraceOf, ...] = ()
    """Of the tasks that play a part, the crashed one's (``crash.frames``) left out."""


class ListedLine(Noun, frozen=True, kw_only=True):
    """One line of a source file; ``marked`` is the one asked for."""

    number: int
    text: str
    marked: bool


class SourceAround(Noun, frozen=True, kw_only=True):
    """The source around a place of a crash.

    :param crash: which of the document's, from 0
    :param frame: which of the crash's frames, from 0; None: its instruction, where the backtrace
        does not begin with it
    :param lines: empty where the file is not in the tree
    """

    crash: int = 0
    frame: int | None
    file: str
    line: int
    lines: tuple[ListedLine, ...] = ()


class OopsDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy oops --json``; ``source`` is what ``--source`` adds."""

    schema: Literal["kautopsy.oops/1"] = "kautopsy.oops/1"
    crashes: tuple[Crash, ...]
    file: str | None = None
    source: tuple[SourceAround, ...] = ()


class Match(Noun, frozen=True, kw_only=True):
    """A known crash that is probably the same; ``why`` in words."""

    id: str
    score: float
    why: tuple[str, ...] = ()


class SimilarDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy similar --json``."""

    schema: Literal["kautopsy.similar/1"] = "kautopsy.similar/1"
    matches: tuple[Match, ...]
