"""A report for a terminal: the header that ``crash`` shows, then what it never says.

The verdict comes last, because the last lines are those that stay on the screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Frame
from kautopsy.model.finding import Finding, Severity
from kautopsy.model.machine import CpuState, MemoryUse
from kautopsy.model.report import Report
from kautopsy.report import units, words
from kautopsy.report.escape import clip, one_line
from kautopsy.report.timeline import Moment, Weight, timeline

_LABEL_WIDTH = 13
_HANG = _LABEL_WIDTH + 2
"""What a folded line of the header is indented by, and of the log, where the time is as wide."""
_PROSE_WIDTH = 96
_NARROW = 100
"""Below this width backtraces have no addresses: the function's name and the line say more."""
_LINE = 1000
_CPUS = 16
_WAITS = 12
_CONSUMERS = 5
_TRACES = 6
_SEVERITY_STYLES = {Severity.FATAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_WEIGHT_STYLES = {Weight.PLAIN: "", Weight.TROUBLE: "yellow", Weight.FATAL: "red"}


def print_report(report: Report, file: TextIO | None = None) -> None:
    """Print all of ``report`` (on stdout by default)."""
    printer = ReportPrinter(file)
    printer.show(report)
    printer.finish(report)


class ReportPrinter:
    """Prints a report while it grows: header, then backtrace and log, and the rest at the end.

    :param file: defaults to stdout
    :param log_lines: how many lines of the kernel's log to show, around the crash
    :param width: of the terminal in columns; by default that of ``file``
    """

    def __init__(
        self, file: TextIO | None = None, *, log_lines: int = 20, width: int | None = None
    ) -> None:
        self._console = Console(
            file=file, highlight=False, soft_wrap=True, emoji=False, markup=False, width=width
        )
        # Only a terminal has an edge; who reads a pipe wants lines whole.
        self._edge = width or (self._console.width if self._console.is_terminal else None)
        wide = self._edge or _NARROW
        self._width = min(wide, _PROSE_WIDTH)
        self._addresses = wide >= _NARROW
        self._log_lines = log_lines
        self._header_shown = False
        self._crash_in_header = False
        self._crash_shown = False

    def show(self, report: Report) -> None:
        """Print what is already final in a report that is still growing."""
        if not self._header_shown and report.system is not None:
            self._print(_header(report), hang=_HANG)
            self._header_shown = True
            self._crash_in_header = report.crash is not None
        # Where the dump lost its log, one from beside it may yet tell more of the crash.
        if report.crash is not None and not isinstance(report.log, Unreadable):
            self._show_crash(report)

    def _show_crash(self, report: Report) -> None:
        if self._crash_shown:
            return
        self._crash_shown = True
        if not self._header_shown:
            self._print(_header(report), hang=_HANG)
            self._header_shown = True
        elif not self._crash_in_header:
            self._print(_rows(words.facts_of_crash(report)), hang=_HANG)
        self._print(_crash(report, addresses=self._addresses))
        self._print(_log(report, self._log_lines), hang=_HANG)

    def finish(self, report: Report) -> None:
        """Print the rest of a complete report."""
        self._show_crash(report)
        self._print(_cpus(report))
        self._print(_memory(report.memory, self._width))
        self._print(_waits(report, self._width))
        self._print(_backtraces(report, addresses=self._addresses))
        self._print(_findings(report, self._width))
        self._print(_lacks(report, self._width))
        self._print(_verdict(report, self._width))

    def _print(self, lines: Iterator[Text], *, hang: int = 0) -> None:
        """Print, and fold at the terminal's edge.

        :param hang: by how many columns what is folded is indented; 0: as the line is, and a little
        """
        for line in lines:
            for part in self._folded(line, hang):
                self._console.print(part)

    def _folded(self, line: Text, hang: int) -> Iterator[Text]:
        if self._edge is None or line.cell_len <= self._edge:
            yield line
            return
        hang = min(hang or _indent(line) + 4, self._edge // 3)
        first = line.wrap(self._console, self._edge)[0]
        rest = line[len(first.plain) :]
        parts = rest[_indent(rest) :].wrap(self._console, self._edge - hang)
        for part in parts:
            part.pad_left(hang)
        for part in (first, *parts):
            part.rstrip()
            yield part


def _indent(line: Text) -> int:
    return len(line.plain) - len(line.plain.lstrip(" "))


def _header(report: Report) -> Iterator[Text]:
    for fact in words.facts(report):
        yield from _rows(iter((fact,)))
        if fact.label == words.DUMPFILE and report.dump is not None:
            for problem in report.dump.problems:
                yield _row("", f"! {problem}", style="yellow")


def _rows(facts: Iterator[words.Fact]) -> Iterator[Text]:
    for fact in facts:
        yield _row(fact.label.upper(), fact.value, "dim" if fact.missing else "")


def _row(label: str, value: str, style: str = "") -> Text:
    line = Text(f"{label:>{_LABEL_WIDTH}}{':' if label else ' '} ", style="bold")
    line.append(one_line(clip(value, _LINE)), style=style or "not bold")
    return line


def _crash(report: Report, *, addresses: bool) -> Iterator[Text]:
    crash = report.crash
    if crash is None:
        return
    yield from _heading("BACKTRACE" + (", as the log has it" if words.from_log(report) else ""))
    if crash.corrupted:
        yield Text(f"! not to be trusted: {one_line(crash.corrupted_reason or '')}", style="yellow")
    yield from _frames(crash.frames, addresses=addresses)


def _frames(frames: tuple[Frame, ...], *, addresses: bool) -> Iterator[Text]:
    if not frames:
        yield Text("(none could be had)", style="dim")
        return
    # A column of addresses only where there is one: a log's frames have none.
    addresses = addresses and any(frame.address is not None for frame in frames)
    for number, frame in words.numbered(frames):
        yield _frame(frame, number, addresses=addresses)


def _frame(frame: Frame, number: int | None, *, addresses: bool) -> Text:
    line = Text(" " * 5 if number is None else f"{f'#{number}':>4} ")
    if addresses or frame.function is None:
        known = frame.address is not None and not frame.inline
        line.append(f"{f'[{frame.address:016x}]' if known else '':<19}", style="dim")
    if not frame.reliable:
        line.append("? ", style="yellow")
    name = one_line(clip(frame.function or "(unknown)", _LINE))
    line.append(name, style="bold" if frame.reliable else "")
    line.append(words.offset(frame))
    if frame.module:
        line.append(f" [{one_line(clip(frame.module, _LINE))}]", style="magenta")
    if frame.inline:
        line.append(" (inlined)", style="dim")
    if frame.file:
        where = one_line(clip(words.place(frame.file, frame.line), _LINE))
        line.append(f"  at {where}", style="cyan")
    return line


def _log(report: Report, count: int) -> Iterator[Text]:
    yield from _heading("LAST LINES OF THE KERNEL LOG")
    if isinstance(report.log, Unreadable):
        yield Text(f"({one_line(str(report.log))})", style="dim")
        return
    story = timeline(report)
    moments = story.moments
    if story.crash is not None:
        # What led to the crash and how it was announced; the dump of its stack is above already.
        stop = max(story.crash + count // 2, count)
        earlier = [m for m in moments[: max(min(stop, len(moments)) - count, 0)] if m.weight]
        for moment in earlier[-count // 4 :]:
            yield _log_line(moment, crash=False)
        if earlier:
            yield Text("  ...", style="dim")
        moments = moments[:stop]
    for moment in moments[-count:]:
        yield _log_line(moment, crash=moment.index == story.crash)


def _log_line(moment: Moment, *, crash: bool) -> Text:
    style = "bold red" if crash else _WEIGHT_STYLES[moment.weight]
    return Text(one_line(clip(moment.line, _LINE)), style=style)


def _cpus(report: Report) -> Iterator[Text]:
    if not report.cpus:
        return
    yield from _heading("CPUS")
    if isinstance(report.cpus, Unreadable):
        yield Text(f"({one_line(str(report.cpus))})", style="dim")
        return
    telling = [cpu for cpu in report.cpus if not words.dull(cpu)]
    # The crashed one and those with something remarkable may not be cut off.
    telling.sort(key=lambda cpu: (not cpu.crashed, not cpu.note, cpu.cpu))
    for cpu in telling[:_CPUS]:
        yield _cpu(cpu)
    idle = len(report.cpus) - len(telling)
    rest = [f"{len(telling) - _CPUS} more busy"] if len(telling) > _CPUS else []
    rest += [f"{idle} idle"] if idle else []
    if rest:
        yield Text(f"     {', '.join(rest)}", style="dim")


def _cpu(cpu: CpuState) -> Text:
    line = Text(f"{cpu.cpu:>4} ")
    line.append(f"{cpu.context.value:<8}", style="cyan")
    line.append(f"{one_line(clip(words.cpu_runs(cpu) or '-', 60)):<27} ")
    if cpu.function:
        line.append(one_line(clip(cpu.function, 120)))
    if cpu.module:
        line.append(f" [{one_line(clip(cpu.module, 60))}]", style="magenta")
    if cpu.runnable is not None and cpu.runnable > 1:
        line.append(f"  {cpu.runnable} runnable", style="dim")
    if cpu.crashed:
        line.append("  crashed", style="bold red")
    if cpu.note:
        line.append(f"  {one_line(clip(cpu.note, 200))}", style="yellow")
    return line


def _memory(memory: MemoryUse | None, width: int) -> Iterator[Text]:
    if memory is None:
        return
    yield from _heading("MEMORY")
    parts = words.memory_parts(memory)
    whole = max(sum(size for _name, size in parts), 1)
    said = ", ".join(
        f"{words.MEMORY[name]} {units.size(size)} ({units.share(size, whole)})"
        for name, size in sorted(parts, key=lambda part: -part[1])
        if size / whole >= 0.005 or name == "free"
    )
    yield from _prose(said or "(unreadable)", width)
    for one in memory.largest[:_CONSUMERS]:
        kind = words.consumer_kind(one)
        yield Text(f"  {kind:<10} {units.size(one.bytes):>9}  {_text(words.consumer(one))}")


def _waits(report: Report, width: int) -> Iterator[Text]:
    if not report.waits:
        return
    yield from _heading("WHO WAITS FOR WHOM")
    if isinstance(report.waits, Unreadable):
        yield Text(f"({one_line(str(report.waits))})", style="dim")
        return
    waits = words.waits(report.waits)
    for edge, sentence in waits[:_WAITS]:
        for line in words.wrap(_text(sentence), width, first="  ", rest="      "):
            yield Text(line, style="red" if edge.cycle else "")
    if len(waits) > _WAITS:
        yield Text(f"  {len(waits) - _WAITS} more", style="dim")


def _backtraces(report: Report, *, addresses: bool) -> Iterator[Text]:
    for trace in report.backtraces[:_TRACES]:
        standing = words.standing(trace)
        yield from _heading(
            f"BACKTRACE OF {_text(words.task(trace.task))}, {_text(trace.role)}"
            + (f", {_text(standing)}" if standing else "")
        )
        if isinstance(trace.frames, Unreadable):
            yield Text(f"({one_line(str(trace.frames))})", style="dim")
        else:
            yield from _frames(trace.frames, addresses=addresses)
    if len(report.backtraces) > _TRACES:
        yield Text("")
        more = len(report.backtraces) - _TRACES
        yield Text(f"{more} more backtraces are in the report as --html or --json", style="dim")


def _findings(report: Report, width: int) -> Iterator[Text]:
    others = words.other_findings(report)
    if not others:
        return
    yield from _heading("ALSO FOUND")
    for finding in others:
        line = Text("• ")
        line.append(finding.kind.value, style=_SEVERITY_STYLES[finding.severity])
        line.append(f": {_text(finding.title)} ({finding.confidence:.0%})")
        yield line
        yield from _evidence(finding, width)


def _lacks(report: Report, width: int) -> Iterator[Text]:
    # The dump's own problems stand in the header, the crash's over its backtrace.
    if report.symbols.notes:
        yield from _heading("WHAT THIS REPORT LACKS")
    for note in report.symbols.notes:
        yield from _prose(note, width, "• ")


def _verdict(report: Report, width: int) -> Iterator[Text]:
    yield from _heading("VERDICT")
    verdict = report.verdict
    if verdict is None:
        yield Text("(none: the analysis did not get that far)", style="yellow")
        return
    line = Text(verdict.kind.value, style="bold reverse")
    line.append(f"  (confidence {verdict.confidence:.0%})", style="not bold not reverse")
    yield line
    yield Text(_text(verdict.title), style="bold")
    if verdict.culprit is not None:
        yield Text(f"culprit: {_text(words.culprit(verdict.culprit))}")
    crash = report.crash
    if crash is not None and crash.kind is not verdict.kind:
        yield Text(f"reported: {_text(words.reported(crash))}", style="dim")
    finding = words.verdict_finding(report)
    if finding is None:
        return
    yield from _prose(finding.explanation, width)
    for task in finding.tasks:
        yield Text(f"  {_text(task.role)}: {_text(words.task(task))}")
    yield from _evidence(finding, width)
    if finding.next:
        yield Text("next:", style="bold")
        for step in finding.next:
            yield from _prose(step, width, "  - ")


def _evidence(finding: Finding, width: int) -> Iterator[Text]:
    for item in finding.evidence:
        said = f"{_text(item.what)}: {_text(item.value)}"
        *first, last = words.wrap(said, width, first="    ", rest="      ") or ["    "]
        for part in first:
            yield Text(part)
        line = Text(last)
        if item.show:
            show = f"   ({_text(item.show)})"
            if len(last) + len(show) > width:
                yield line
                line = Text("   ")
            line.append(show, style="dim")
        yield line


def _text(text: str) -> str:
    return one_line(clip(text, _LINE))


def _heading(title: str) -> Iterator[Text]:
    yield Text("")
    yield Text(title, style="bold underline")


def _prose(text: str, width: int, bullet: str = "") -> Iterator[Text]:
    for line in words.wrap(one_line(clip(text, 4 * _LINE)), width, first=bullet):
        yield Text(line)
