"""A plan as a user reads it: notes, a diff for every file, the commands, and what is left to do."""

from __future__ import annotations

import shlex
from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.plan import Plan, Step
from kautopsy.report.escape import one_line

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_plan(plan: Plan, name: str, *, file: TextIO | None = None) -> None:
    """Print what would change on the machine ``name``."""
    console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
    name = one_line(name)
    if plan.unfinished:
        console.print(
            Text("an earlier run was interrupted: it is taken back before all else", style="yellow")
        )
    if not plan.steps:
        console.print(Text(f"{name}: nothing to change", style="bold green"))
    for number, step in enumerate(plan.steps, 1):
        console.print(Text(f"{number}. {one_line(step.what)}", style="bold"))
        _print_step(console, step)
    for note in plan.notes:
        console.print(Text(f"note: {one_line(note)}"))
    for thing in plan.manual:
        console.print(Text.assemble(("by hand: ", "bold yellow"), one_line(thing)))
    if plan.reboot:
        console.print(Text(f"{name} must be rebooted afterwards: memory is reserved at boot"))


def _print_step(console: Console, step: Step) -> None:
    if step.command is not None:
        console.print(Text(f"   $ {one_line(shlex.join(step.command))}", style="cyan"))
    for line in (step.diff or "").splitlines():
        style = _STYLES.get(line[:1], "")
        bold = "bold " if line.startswith(("+++", "---")) else ""
        console.print(Text(f"   {one_line(line)}", style=f"{bold}{style}".strip()))
    console.print(Text(f"   undo: {one_line(step.undo)}", style="dim"))
