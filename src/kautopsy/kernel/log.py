"""The kernel's log buffer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Program
from drgn.helpers.linux.printk import get_printk_records

from kautopsy.kernel.reading import text
from kautopsy.kernel.table import Column, table


class LogLine(msgspec.Struct, frozen=True):
    """One record of the ring buffer."""

    seq: Annotated[int, Column("sequence number")]
    time: Annotated[int, Column("since boot, by the local clock", unit="ns")]
    level: Annotated[int, Column("0 emergency to 7 debug")]
    caller: Annotated[str, Column("``T`` and thread id, or ``C`` and CPU in interrupts; since 5.1")]
    text: Annotated[str, Column("the message")]

    def __str__(self) -> str:
        """As ``dmesg`` prints it."""
        return f"[{self.time // 10**9:5d}.{self.time % 10**9 // 1000:06d}] {self.text}"


@table
def log(program: Program) -> Iterator[LogLine]:
    """The kernel log, oldest record first."""
    for record in get_printk_records(program):
        caller = ""
        if record.caller_tid is not None:
            caller = f"T{record.caller_tid}"
        elif record.caller_cpu is not None:
            caller = f"C{record.caller_cpu}"
        yield LogLine(record.seq, record.timestamp, record.level, caller, text(record.text))
