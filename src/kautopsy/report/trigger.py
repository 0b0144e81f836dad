"""Ways to panic a machine, what would be done, and what its console tells, for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.trigger import ConsoleEvent, ConsoleEventKind, TriggerDocument, WayReport
from kautopsy.report.escape import clip, one_line

_LONGEST = 300
_WORDS = {
    ConsoleEventKind.NMI_RECEIVED: "NMI received",
    ConsoleEventKind.NMI_IGNORED: "NMI IGNORED",
    ConsoleEventKind.SYSRQ: "sysrq",
    ConsoleEventKind.PANIC: "panic",
    ConsoleEventKind.CAPTURE_BOOTED: "capture kernel booted",
    ConsoleEventKind.SAVING: "saving",
    ConsoleEventKind.SAVED: "saved",
    ConsoleEventKind.SAVE_FAILED: "SAVING FAILED",
    ConsoleEventKind.REBOOTING: "rebooting",
    ConsoleEventKind.FIRMWARE: "firmware",
    ConsoleEventKind.BOOTED: "boots",
    ConsoleEventKind.LOGIN: "login",
    ConsoleEventKind.LOST: "CONSOLE LOST",
}


def event_line(event: ConsoleEvent) -> str:
    """An event on one line, safe for a terminal."""
    percent = f" {event.percent:.0f}%" if event.percent is not None else ""
    detail = f": {event.detail}" if event.detail else (f": {event.line}" if event.line else "")
    return clip(
        one_line(f"[{event.seconds:8.1f} s] {_WORDS[event.kind]}{percent}{detail}"), _LONGEST
    )


def print_ways(document: TriggerDocument, *, file: TextIO | None = None) -> None:
    """Every way: would it work, and would the kernel obey?"""
    console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
    name = document.nodename or "a machine that does not answer"
    console.print(Text(f"{one_line(document.host)} is {one_line(name)}", style="bold"))
    for way in document.ways:
        _way(console, way)
    for note in document.notes:
        console.print(Text(f"note: {one_line(note)}", style="dim"))


def _way(console: Console, way: WayReport) -> None:
    console.print(
        Text.assemble(_mark(way.possible), (f" {way.name}: ", "bold"), one_line(way.what))
    )
    console.print(Text(f"    {clip(one_line(way.why), _LONGEST)}"))
    console.print(
        Text.assemble(
            "    kernel: ", _mark(way.obeyed), f" {clip(one_line(way.obeyed_why), _LONGEST)}"
        )
    )


def _mark(answer: bool | None) -> tuple[str, str]:
    return {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "cyan")}[answer]
