"""A report for a terminal: the header that ``crash`` shows, then what it never says.

The verdict comes last, because the last lines are those that stay on the screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Frame
from kautopsy.model.finding import Culprit, Finding, Severity, Verdict
from kautopsy.model.report import Report, SymbolSource, System
from kautopsy.report import units
from kautopsy.report.escape import one_line

_LABEL_WIDTH = 13
_PROSE_WIDTH = 96
_SEVERITY_STYLES = {Severity.FATAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def print_report(report: Report, file: TextIO | None = None) -> None:
    """Print all of ``report`` (on stdout by default)."""
    printer = ReportPrinter(file)
    printer.show(report)
    printer.finish(report)


class ReportPrinter:
    """Prints a report while it grows: the header as soon as it is known, the rest at the end.

    :param file: defaults to stdout
    :param log_lines: how many of the last lines of the kernel's log to show
    """

    def __init__(self, file: TextIO | None = None, *, log_lines: int = 20) -> None:
        self._console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
        self._log_lines = log_lines
        self._header_shown = False

    def show(self, report: Report) -> None:
        """Print what is already final in a report that is still growing."""
        if not self._header_shown and report.system is not None:
            self._print(_header(report))
            self._header_shown = True

    def finish(self, report: Report) -> None:
        """Print the rest of a complete report."""
        if not self._header_shown:
            self._print(_header(report))
        if report.crash is not None:
            self._print(_crash(report.crash))
        self._print(_log(report, self._log_lines))
        self._print(_findings(report))
        self._print(_symbols(report))
        self._print(_verdict(report))

    def _print(self, lines: Iterator[Text]) -> None:
        for line in lines:
            self._console.print(line)


def _header(report: Report) -> Iterator[Text]:
    symbols = report.symbols
    source = symbols.vmlinux or {
        SymbolSource.DWARF: "debuginfo",
        SymbolSource.BTF: "no vmlinux: names and types from the dump itself (BTF, kallsyms)",
        SymbolSource.KIT: "no vmlinux: names and types from a symbol kit",
        SymbolSource.KALLSYMS: "no vmlinux: names from the dump itself (kallsyms), no types",
        SymbolSource.NONE: "no vmlinux, and no names in the dump",
    }.get(symbols.source, "")
    yield _row("KERNEL", source)
    if report.dump is not None:
        dump = report.dump
        facts = [dump.format.value, units.size(dump.size_bytes)]
        if dump.compression:
            facts.append(dump.compression)
        if dump.dump_level is not None:
            facts.append(f"dump level {dump.dump_level}")
        if not dump.complete:
            facts.append("INCOMPLETE")
        yield _row("DUMPFILE", f"{dump.path}  [{', '.join(facts)}]")
        for problem in dump.problems:
            yield _row("", f"! {problem}", style="yellow")
    if report.system is not None:
        for label, value in _system_rows(report.system):
            missing = isinstance(value, Unreadable)
            yield _row(label, f"({value})" if missing else str(value), "dim" if missing else "")
    if report.crash is not None:
        crash = report.crash
        if crash.task is not None:
            yield _row("PID", "?" if crash.task.pid is None else str(crash.task.pid))
            yield _row("COMMAND", f'"{crash.task.comm}"')
        if crash.cpu is not None:
            yield _row("CPU", str(crash.cpu))


def _system_rows(system: System) -> Iterator[tuple[str, str | Unreadable]]:
    cpus = system.cpus
    if isinstance(cpus, int) and isinstance(system.cpus_online, int) and system.cpus_online < cpus:
        yield "CPUS", f"{cpus} [OFFLINE: {cpus - system.cpus_online}]"
    else:
        yield "CPUS", _plain(cpus)
    time = system.crash_time
    yield "DATE", time if isinstance(time, Unreadable) else units.date(time)
    uptime = system.uptime_seconds
    yield "UPTIME", uptime if isinstance(uptime, Unreadable) else units.duration(uptime)
    load = system.load_average
    yield (
        "LOAD AVERAGE",
        load if isinstance(load, Unreadable) else ", ".join(f"{x:.2f}" for x in load),
    )
    yield "TASKS", _plain(system.tasks)
    yield "NODENAME", system.nodename
    yield "RELEASE", system.release
    yield "VERSION", system.version
    yield "MACHINE", system.machine
    memory = system.memory_bytes
    yield "MEMORY", memory if isinstance(memory, Unreadable) else units.size(memory)
    tainted = system.tainted
    if isinstance(tainted, Unreadable):
        yield "TAINTED", tainted
    elif tainted:
        yield "TAINTED", " ".join(tainted)
    panic = system.panic
    yield "PANIC", panic if isinstance(panic, Unreadable) else f'"{panic}"'


def _plain(value: int | Unreadable) -> str | Unreadable:
    return value if isinstance(value, Unreadable) else str(value)


def _row(label: str, value: str, style: str = "") -> Text:
    line = Text(f"{label:>{_LABEL_WIDTH}}{':' if label else ' '} ", style="bold")
    line.append(one_line(value), style=style or "not bold")
    return line


def _crash(crash: Crash) -> Iterator[Text]:
    yield from _heading("BACKTRACE")
    if crash.corrupted:
        yield Text(f"! not to be trusted: {one_line(crash.corrupted_reason or '')}", style="yellow")
    if not crash.frames:
        yield Text("(none could be had)", style="dim")
    number = 0
    for frame in crash.frames:
        yield _frame(frame, number)
        number += not frame.inline


def _frame(frame: Frame, number: int) -> Text:
    line = Text(" " * 5 if frame.inline else f"{f'#{number}':>4} ")
    address = "" if frame.address is None or frame.inline else f"[{frame.address:016x}] "
    line.append(f"{address:<19}", style="dim")
    if not frame.reliable:
        line.append("? ", style="yellow")
    line.append(one_line(frame.function or "(unknown)"), style="bold" if frame.reliable else "")
    if frame.offset is not None and not frame.inline:
        size = "" if frame.size is None else f"/{frame.size:#x}"
        line.append(f"+{frame.offset:#x}{size}")
    if frame.module:
        line.append(f" [{one_line(frame.module)}]", style="magenta")
    if frame.inline:
        line.append(" (inlined)", style="dim")
    if frame.file:
        where = frame.file if frame.line is None else f"{frame.file}:{frame.line}"
        line.append(f"  at {one_line(where)}", style="cyan")
    return line


def _log(report: Report, count: int) -> Iterator[Text]:
    yield from _heading("LAST LINES OF THE KERNEL LOG")
    if isinstance(report.log, Unreadable):
        yield Text(f"({one_line(str(report.log))})", style="dim")
        return
    for line in report.log[-count:]:
        yield Text(one_line(line))


def _findings(report: Report) -> Iterator[Text]:
    chosen = report.verdict.finding if report.verdict is not None else None
    others = [finding for i, finding in enumerate(report.findings) if i != chosen]
    if not others:
        return
    yield from _heading("ALSO FOUND")
    for finding in others:
        line = Text("• ")
        line.append(finding.kind.value, style=_SEVERITY_STYLES[finding.severity])
        line.append(f": {one_line(finding.title)} ({finding.confidence:.0%})")
        yield line
        yield from _evidence(finding)


def _symbols(report: Report) -> Iterator[Text]:
    if report.symbols.notes:
        yield from _heading("WHAT THIS REPORT LACKS")
    for note in report.symbols.notes:
        yield from _prose(note, "• ")


def _verdict(report: Report) -> Iterator[Text]:
    yield from _heading("VERDICT")
    verdict = report.verdict
    if verdict is None:
        yield Text("(none: the analysis did not get that far)", style="yellow")
        return
    line = Text(verdict.kind.value, style="bold reverse")
    line.append(f" {one_line(verdict.title)}", style="bold not reverse")
    line.append(f"  (confidence {verdict.confidence:.0%})", style="not bold not reverse")
    yield line
    if verdict.culprit is not None:
        yield Text(f"culprit: {one_line(_culprit(verdict))}")
    if verdict.finding is None or not 0 <= verdict.finding < len(report.findings):
        return
    finding = report.findings[verdict.finding]
    yield from _prose(finding.explanation)
    for task in finding.tasks:
        yield Text(f"  {one_line(task.role)}: {one_line(task.comm)} (pid {task.pid})")
    yield from _evidence(finding)
    if finding.next:
        yield Text("next:", style="bold")
        for step in finding.next:
            yield from _prose(step, "  - ")


def _culprit(verdict: Verdict) -> str:
    culprit: Culprit | None = verdict.culprit
    assert culprit is not None
    text = culprit.function or "(unknown function)"
    if culprit.module:
        text += f" [{culprit.module}]"
    if culprit.file:
        text += f" at {culprit.file}" + ("" if culprit.line is None else f":{culprit.line}")
    return text


def _evidence(finding: Finding) -> Iterator[Text]:
    for item in finding.evidence:
        line = Text(f"    {one_line(item.what)}: {one_line(item.value)}")
        if item.show:
            line.append(f"   ({one_line(item.show)})", style="dim")
        yield line


def _heading(title: str) -> Iterator[Text]:
    yield Text("")
    yield Text(title, style="bold underline")


def _prose(text: str, bullet: str = "") -> Iterator[Text]:
    for line in textwrap.wrap(
        one_line(text),
        _PROSE_WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
    ):
        yield Text(line)
