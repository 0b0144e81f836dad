"""Backtraces of all threads, a row a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.stacks import backtrace
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.threads import threads


class BacktraceFrame(msgspec.Struct, frozen=True):
    """One frame of one thread."""

    pid: Annotated[int, Column("of the thread")]
    comm: Annotated[str, Column("of the thread")]
    depth: Annotated[int, Column("0 is the innermost")]
    function: Annotated[str | None, Column("name, None if it is not known")]
    offset: Annotated[int | None, Column("within the function", unit="bytes")]
    module: Annotated[str | None, Column("None for the kernel itself")]
    address: Annotated[int | None, Column("program counter", unit="address")]
    file: Annotated[str | None, Column("of the source, with DWARF")]
    line: Annotated[int | None, Column("of the source, with DWARF")]
    inline: Annotated[bool, Column("it was inlined into the next frame")]


@table
def backtraces(program: Program) -> Iterator[BacktraceFrame]:
    """Frames of the kernel stacks of every thread, innermost first."""
    for task in threads(program).tasks:
        try:
            pid, comm = int(task.pid), text(task.comm.string_())
        except READ_ERRORS:
            continue
        for depth, frame in enumerate(backtrace(program, task)):
            yield BacktraceFrame(
                pid,
                comm,
                depth,
                frame.function,
                frame.offset,
                frame.module,
                frame.address,
                frame.file,
                frame.line,
                frame.inline,
            )
