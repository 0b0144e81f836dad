"""Crashes out of a log, for a terminal: what happened, where, to whom, and the way there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.crash import Crash, Frame
from kautopsy.model.report import SourceAround
from kautopsy.report import units
from kautopsy.report.escape import one_line
from kautopsy.report.words import offset, place, task

_LABEL = 12
_REGISTERS_A_LINE = 3


class OopsPrinter:
    """Prints crashes one by one.

    :param registers: show the registers
    :param modules: name all loaded modules, not only how many there are
    """

    def __init__(
        self, file: TextIO | None = None, *, registers: bool = False, modules: bool = False
    ) -> None:
        self._console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
        self._registers = registers
        self._modules = modules
        self._count = 0

    def show(
        self,
        crash: Crash,
        *,
        taint: Sequence[str] = (),
        code: Sequence[tuple[str, bool]] = (),
        source: Sequence[SourceAround] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Print one crash.

        :param taint: the taint letters in words
        :param code: instructions as text, and whether each was the one executing
        :param source: the source around its places
        :param notes: what could not be found out, and why
        """
        if self._count:
            self._console.print()
        self._count += 1
        for line in self._crash(crash, taint, code, source, notes):
            self._console.print(line)

    def _crash(
        self,
        crash: Crash,
        taint: Sequence[str],
        code: Sequence[tuple[str, bool]],
        source: Sequence[SourceAround],
        notes: Sequence[str],
    ) -> Iterator[Text]:
        yield Text(one_line(crash.title), style="bold red" if crash.trigger else "bold yellow")
        by = f", trigger {crash.trigger.value}" if crash.trigger else ""
        yield _row("kind", f"{crash.kind.value}{by}")
        if crash.corrupted:
            yield _row("corrupted", crash.corrupted_reason or "yes", "yellow")
        yield _row("when", _when(crash))
        if crash.task is not None or crash.cpu is not None:
            who = task(crash.task) if crash.task else "?"
            yield _row("task", who + (f" on CPU {crash.cpu}" if crash.cpu is not None else ""))
        system = ", ".join(part for part in (crash.release, crash.hardware) if part)
        if system:
            yield _row("system", system)
        yield from _rows("tainted", taint)
        if crash.instruction is not None:
            yield _row("instruction", _location(crash.instruction), "bold")
        yield from _rows("then", crash.follow_ups)
        yield from _rows("also", crash.titles)
        if crash.modules:
            if self._modules:
                yield _row("modules", " ".join(crash.modules))
            else:
                yield _row("modules", f"{len(crash.modules)} loaded")
        if crash.frames:
            yield _row("backtrace", "" if _vouched(crash) else "(guesses only: no frame is sure)")
            for number, frame in enumerate(crash.frames):
                yield _frame(frame)
                yield from _listed([place for place in source if place.frame == number])
        executing = [place for place in source if place.frame is None]
        if executing:
            yield _row("source", "")
            yield from _listed(executing)
        if code:
            yield _row("code", "")
            for text, marked in code:
                mark = "=>" if marked else "  "
                yield Text(f"  {mark} {one_line(text)}", style="bold" if marked else "dim")
        if self._registers and crash.registers:
            yield _row("registers", "")
            yield from _registers(crash.registers)
        for note in notes:
            yield _row("note", note, "yellow")


def _vouched(crash: Crash) -> bool:
    return any(frame.reliable for frame in crash.frames)


def _when(crash: Crash) -> str:
    parts = []
    if crash.wall_time:
        parts.append(crash.wall_time)
    if crash.uptime_seconds is not None:
        parts.append(f"{units.duration(crash.uptime_seconds)} after boot")
    if crash.text is not None:
        parts.append(f"lines {crash.text.first_line}-{crash.text.last_line}")
    return ", ".join(parts)


def _row(label: str, value: str, style: str = "") -> Text:
    line = Text(f"{label:>{_LABEL}}  ", style="dim")
    line.append(one_line(value), style=style or "not dim")
    return line


def _rows(label: str, values: Iterable[str]) -> Iterator[Text]:
    for value in values:
        yield _row(label, value)
        label = ""


def _location(frame: Frame) -> str:
    name = frame.function or (f"{frame.address:#x}" if frame.address is not None else "?")
    text = name + offset(frame) + (f" [{frame.module}]" if frame.module else "")
    where = place(frame.file, frame.line)
    return f"{text} at {where}" if where else text


def _frame(frame: Frame) -> Text:
    line = Text("    ")
    line.append("  " if frame.reliable else "? ", style="yellow")
    name = frame.function or (f"{frame.address:#x}" if frame.address is not None else "?")
    line.append(one_line(name), style="" if frame.reliable else "dim")
    line.append(offset(frame), style="dim")
    if frame.module:
        line.append(f" [{one_line(frame.module)}]", style="magenta")
    if frame.inline:
        line.append(" (inlined)", style="dim")
    where = place(frame.file, frame.line)
    if where:
        line.append(f"  {one_line(where)}", style="cyan")
    return line


def _listed(places: Sequence[SourceAround]) -> Iterator[Text]:
    """As gdb's ``list``, the line in question marked; each place's name if they are several."""
    for around in places:
        if len(places) > 1:
            yield Text(f"        {one_line(around.file)}:{around.line}", style="cyan")
        if not around.lines:
            yield Text(f"        {one_line(around.file)} is not in the tree", style="dim")
        for line in around.lines:
            mark = ">" if line.marked else " "
            text = f"{mark}{line.number}\t{line.text}".expandtabs()
            yield Text("        " + one_line(text), style="bold" if line.marked else "dim")


def _registers(registers: dict[str, int]) -> Iterator[Text]:
    wide = any(value >> 32 for value in registers.values())
    cells = [f"{name:>8} {value:0{16 if wide else 8}x}" for name, value in registers.items()]
    for start in range(0, len(cells), _REGISTERS_A_LINE):
        yield Text("  " + one_line("  ".join(cells[start : start + _REGISTERS_A_LINE])))
