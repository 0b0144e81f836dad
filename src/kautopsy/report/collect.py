"""What a machine's crashes left, and what of it came home."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.capture import Capture, CaptureState, CollectDocument, Collected
from kautopsy.model.readiness import Check, CheckStatus
from kautopsy.report.escape import clip, one_line, terminal
from kautopsy.report.units import size

_LONGEST = 300
_MARK = {
    CheckStatus.PASS: ("✓", "green"),
    CheckStatus.FAIL: ("✗", "bold red"),
    CheckStatus.WARN: ("!", "yellow"),
    CheckStatus.UNKNOWN: ("?", "cyan"),
    CheckStatus.SKIP: ("-", "dim"),
}
_STATE = {
    CaptureState.COMPLETE: "green",
    CaptureState.INCOMPLETE: "bold red",
    CaptureState.RUNNING: "yellow",
    CaptureState.LOG_ONLY: "yellow",
}


def print_found(document: CollectDocument, *, file: TextIO | None = None) -> None:
    """A line for every capture that is on the machine."""
    console = _console(file)
    if not document.found:
        console.print(Text(f"{one_line(document.host)}: no crash has left anything there"))
    for capture in document.found:
        console.print(_capture(capture))
    _notes(console, document)


def print_collected(document: CollectDocument, *, file: TextIO | None = None) -> None:
    """What came home, each with its checks; or what tells of the crash if nothing did."""
    console = _console(file)
    for one in document.collected:
        _collected(console, one)
    if not any(one.dump for one in document.collected):
        console.print(Text(f"{one_line(document.host)}: no dump", style="bold red"))
        for witness in document.witnesses:
            what = f": {one_line(witness.title)}" if witness.title else ""
            console.print(
                Text(f"{witness.kind} tells of a crash{what} ({one_line(witness.where)})")
            )
            for line in witness.text.splitlines()[-30:]:
                console.print(Text(f"    {clip(terminal(line), _LONGEST)}"))
    _notes(console, document)


def _collected(console: Console, one: Collected) -> None:
    console.print(_capture(one.capture))
    for fetched in one.files:
        more = f", went on at {size(fetched.resumed_at)}" if fetched.resumed_at else ""
        console.print(
            Text(
                f"  {one_line(fetched.path)}  {size(fetched.size)}{more}"
                f"  sha256 {fetched.sha256[:16]}…"
            )
        )
    for check in one.checks:
        console.print(check_line(check))


def check_line(check: Check) -> Text:
    """A check on one line."""
    mark, style = _MARK[check.status]
    words = Text.assemble(
        ("  " + mark + " ", style),
        (f"{check.id}: ", "bold"),
        clip(one_line(check.summary), _LONGEST),
    )
    if check.evidence:
        words.append(f" ({clip(one_line(check.evidence), _LONGEST)})", style="dim")
    return words


def _capture(capture: Capture) -> Text:
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(capture.when))
    what = capture.dump or capture.log or capture.folder
    if capture.host:
        what = f"{capture.host}:{what}"
    words = Text.assemble(
        (f"{capture.state:<10}", _STATE[capture.state]),
        f" {when}  {capture.producer:<11}  {size(capture.size):>10}  {one_line(what)}",
    )
    if capture.status and capture.state is not CaptureState.COMPLETE:
        words.append(f"  ({clip(one_line(capture.status), _LONGEST)})", style="dim")
    return words


def _notes(console: Console, document: CollectDocument) -> None:
    for note in document.notes:
        console.print(Text(f"note: {one_line(note)}", style="dim"))


def _console(file: TextIO | None) -> Console:
    return Console(file=file, highlight=False, soft_wrap=True, emoji=False)
