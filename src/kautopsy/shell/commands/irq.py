"""``irq``: interrupts and their handlers: drgn's command, statistics with the flow handlers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Program
from drgn.helpers.linux.irq import irq_to_desc

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.delegate import delegate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command(
    "irq",
    "IRQ data",
    usage="[[[index ...] | -u] | -d | -b | -a | -s [-c cpu(s)]]",
    raw=True,
    table=True,
)
def irq(session: Session, arguments: argparse.Namespace) -> Lines:
    """Descriptors and handlers of all interrupts or of some (index, -u those in use), the IDT (-d),
    bottom halves (-b), affinities (-a), or how often each came (-s), by CPU.
    """
    lines = delegate(session, "irq", arguments.text)
    return _flows(session.program, lines) if "-s" in arguments.text.split() else lines


def _flows(program: Program, lines: Iterator[str]) -> Iterator[str]:
    """``IO-APIC-edge``: behind the chip the flow, as in /proc/interrupts (kernel/irq/proc.c)."""
    for line in lines:
        found = re.match(r"\s*(\d+):(?:\s+\d+)+\s+(\S+)", line)
        flow = _flow(program, int(found[1])) if found is not None else ""
        yield f"{line[: found.end()]}-{flow}{line[found.end() :]}" if found and flow else line


def _flow(program: Program, number: int) -> str:
    try:
        name = irq_to_desc(program, number).name
        return text(name.string_()) if name else ""
    except READ_ERRORS:
        return ""
