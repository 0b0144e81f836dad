"""What the doctor found, on one screen: the verdict, what to do first, then every check."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text

from kautopsy.model.readiness import Check, CheckStatus, DoctorDocument
from kautopsy.report.escape import clip, one_line

_MARK = {
    CheckStatus.FAIL: ("✗", "bold red"),
    CheckStatus.WARN: ("!", "yellow"),
    CheckStatus.UNKNOWN: ("?", "cyan"),
    CheckStatus.PASS: ("✓", "green"),
    CheckStatus.SKIP: ("-", "dim"),
}
_LONGEST = 300
# What `kautopsy arm` mends.
_ARMED = frozenset(
    {
        "next-boot-entry", "future-kernels", "crashkernel-asked", "crashkernel-auto",
        "crashkernel-reserved", "crashkernel-size", "image-loaded", "kdump-service",
    }
)  # fmt: skip


def print_doctor(
    document: DoctorDocument,
    name: str,
    *,
    target: str = "",
    every: bool = False,
    file: TextIO | None = None,
) -> None:
    """Print what was found of the machine ``name``.

    :param target: how the user reaches it

    :param every: also those checks that passed or do not apply, each on a line; else they are
        counted and named
    """
    console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
    console.print(_verdict(document, one_line(name)))
    if first := first_thing(document):
        console.print(Text.assemble(("first: ", "bold"), clip(one_line(first), _LONGEST)))
    if any(c.status is CheckStatus.FAIL and c.id in _ARMED for c in document.checks):
        console.print(
            Text.assemble(("or all at once: ", "bold"), f"kautopsy arm {one_line(target or name)}")
        )
    for check in document.checks:
        loud = check.status in (CheckStatus.FAIL, CheckStatus.WARN)
        if loud or every:
            _print(console, check, fix=loud)
    if not every:
        for status, words in (
            (CheckStatus.UNKNOWN, "could not be seen"),
            (CheckStatus.PASS, "fine"),
            (CheckStatus.SKIP, "do not apply"),
        ):
            ids = [check.id for check in document.checks if check.status is status]
            if ids:
                mark, style = _MARK[status]
                console.print(Text(f"{mark} {len(ids)} {words}: {', '.join(ids)}", style=style))


def first_thing(document: DoctorDocument) -> str:
    """The fix of the first failure that has one; where nothing failed, of the first unknown."""
    for status in (CheckStatus.FAIL, CheckStatus.UNKNOWN):
        if status is CheckStatus.UNKNOWN and document.ready is not None:
            break
        for check in document.checks:
            if check.status is status and check.fix:
                return check.fix
    return ""


def _verdict(document: DoctorDocument, name: str) -> Text:
    if document.ready is None:
        return Text(f"{name}: nobody can tell whether it will leave a dump", style="bold cyan")
    if document.ready:
        return Text(f"{name}: ready to leave a dump", style="bold green")
    reason = next(c.summary for c in document.checks if c.status is CheckStatus.FAIL)
    return Text(f"{name}: NOT ready: {one_line(reason)}", style="bold red")


def _print(console: Console, check: Check, *, fix: bool) -> None:
    mark, style = _MARK[check.status]
    console.print(
        Text.assemble(
            (f"{mark} ", style), (f"{check.id}: ", "bold"), clip(one_line(check.summary), _LONGEST)
        )
    )
    if check.evidence:
        console.print(Text(f"    {clip(one_line(check.evidence), _LONGEST)}", style="dim"))
    if fix and check.fix:
        console.print(Text(f"    fix: {clip(one_line(check.fix), _LONGEST)}"))
