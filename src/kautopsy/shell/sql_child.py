"""The child process that reads a dump's tables for SQL: rows go out as JSON, a line a chunk.

A dump is hostile: it is opened in a process of its own, with limits, as for a report.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from drgn import Program

from kautopsy.kernel.log import log
from kautopsy.kernel.modules import see_modules
from kautopsy.kernel.reading import READ_ERRORS, readable, reason
from kautopsy.kernel.system import system
from kautopsy.kernel.table import EVERYTHING, Table, Wanted, tables
from kautopsy.model.dump import DumpFile
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Symbols, System
from kautopsy.shell.sql_columns import json_rows, sql_columns
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.child import Failure, confine

_CHUNK = 5000
"""Rows a line: enough that SQL loads them fast, few enough that a line stays small."""


_NO_ROWS = msgspec.Raw(b"[]")


class Request(msgspec.Struct, frozen=True):
    """Which tables of which dump: one JSON object on the child's standard input.

    :param columns: that are wanted, of whatever table; None: all
    """

    dump: str
    vmlinux: str | None
    debuginfo: bool
    memory_bytes: int
    tables: tuple[str, ...]
    columns: frozenset[str] | None


class Opened(msgspec.Struct, frozen=True):
    """What was opened, and on which rung of the ladder of symbols."""

    dump: DumpFile
    symbols: Symbols
    system: System


class Answer(msgspec.Struct, frozen=True):
    """One line from the child.

    :param rows: a JSON array of objects, rows of ``table``
    :param note: why ``table`` has fewer rows than it should
    """

    opened: Opened | None = None
    table: str = ""
    rows: msgspec.Raw = _NO_ROWS
    note: str = ""
    failure: Failure | None = None
    final: bool = False


def answers(request: Request) -> Iterator[Answer]:
    """Open the dump and read its tables.

    :raises KautopsyError: it cannot be opened
    """
    opened = open_program(
        Path(request.dump),
        vmlinux=Path(request.vmlinux) if request.vmlinux else None,
        debuginfo=request.debuginfo,
    )
    program = opened.program
    see_modules(program)
    lines = readable(lambda: tuple(line.text for line in log(program)))
    yield Answer(opened=Opened(opened.dump, opened.symbols, system(program, lines)))
    wanted = EVERYTHING if request.columns is None else request.columns
    for table in tables():
        if table.name in request.tables:
            yield from _rows(table, program, wanted)


def _rows(table: Table[Any], program: Program, wanted: Wanted) -> Iterator[Answer]:
    columns = sql_columns(table)
    note: list[str] = []
    rows = _until_unreadable(table(program, wanted), table.name, note)
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield Answer(table=table.name, rows=msgspec.Raw(json_rows(chunk, columns)))
    if note:
        yield Answer(table=table.name, note=note[0])


def _until_unreadable(
    rows: Iterator[msgspec.Struct], name: str, note: list[str]
) -> Iterator[msgspec.Struct]:
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except READ_ERRORS as error:
        note.append(f"{name}: only {number} rows could be read: {reason(error)}")


def main() -> int:
    """Answer one request; the exit code is 0 unless the process dies."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    confine(request.memory_bytes)

    def send(answer: Answer) -> None:
        out.write(msgspec.json.encode(answer) + b"\n")
        out.flush()

    try:
        for answer in answers(request):
            send(answer)
    except KautopsyError as error:
        send(Answer(failure=Failure.of(error)))
        return 0
    except MemoryError:
        send(Answer(failure=Failure.out_of_memory(request.dump, request.memory_bytes)))
        return 0
    send(Answer(final=True))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
