"""The child process that reads a dump's tables for SQL: rows go out as JSON, a line a chunk.

A dump is hostile: it is opened in a process of its own, with limits, as for a report.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from drgn import Program

from kautopsy.kernel.log import log
from kautopsy.kernel.modules import see_modules
from kautopsy.kernel.reading import READ_ERRORS, readable, reason
from kautopsy.kernel.system import system
from kautopsy.kernel.table import EVERYTHING, Table, tables
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Symbols, System
from kautopsy.shell.opening import open_live
from kautopsy.shell.sql_columns import json_rows, sql_columns
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.child import Failure, confine

_CHUNK = 5000
"""Rows a line: enough that SQL loads them fast, few enough that a line stays small."""


_NO_ROWS = msgspec.Raw(b"[]")


class Subject(msgspec.Struct, frozen=True):
    """Which dump: the first line on the child's standard input, JSON.

    :param live: none, but the running kernel
    """

    dump: str
    vmlinux: str | None
    debuginfo: bool
    memory_bytes: int
    live: bool = False


class Question(msgspec.Struct, frozen=True):
    """Which tables of it: the second line.

    :param columns: that are wanted, of whatever table; None: all
    """

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
    :param columns: the columns that the rows have; None: all
    :param count: how many rows there are, where they have no columns at all
    :param note: why ``table`` has fewer rows than it should
    """

    opened: Opened | None = None
    table: str = ""
    rows: msgspec.Raw = _NO_ROWS
    columns: tuple[str, ...] | None = None
    count: int = 0
    note: str = ""
    failure: Failure | None = None
    final: bool = False


def answers(subject: Subject, ask: Callable[[], Question]) -> Iterator[Answer]:
    """Open the dump and read its tables.

    :param ask: called once the dump is open
    :raises KautopsyError: it cannot be opened
    """
    program, dump, symbols = _open(subject)
    see_modules(program)
    lines = readable(lambda: tuple(line.text for line in log(program)))
    declared = tables()
    yield Answer(opened=Opened(dump, symbols, system(program, lines)))
    question = ask()
    for table in declared:
        if table.name in question.tables:
            yield from _rows(table, program, question.columns)


def _open(subject: Subject) -> tuple[Program, DumpFile, Symbols]:
    if subject.live:
        live = open_live()
        # What the kernel offers as its memory is an ELF core.
        dump = DumpFile(path=subject.dump, format=DumpFormat.ELF, complete=True)
        return live.program, dump, live.symbols
    opened = open_program(
        Path(subject.dump),
        vmlinux=Path(subject.vmlinux) if subject.vmlinux else None,
        debuginfo=subject.debuginfo,
    )
    return opened.program, opened.dump, opened.symbols


def _rows(table: Table[Any], program: Program, wanted: frozenset[str] | None) -> Iterator[Answer]:
    columns = sql_columns(table)
    if wanted is not None:
        columns = {name: kind for name, kind in columns.items() if name in wanted}
    names = None if wanted is None else tuple(columns)
    note: list[str] = []
    rows = _until_unreadable(
        table(program, EVERYTHING if wanted is None else wanted), table.name, note
    )
    while chunk := list(itertools.islice(rows, _CHUNK)):
        made = msgspec.Raw(json_rows(chunk, columns)) if columns else _NO_ROWS
        yield Answer(table=table.name, rows=made, columns=names, count=len(chunk))
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
    # What imports made stays; looking for garbage in it only takes time.
    gc.freeze()
    given = sys.stdin.buffer.readline()
    if not given:
        return 0
    subject = msgspec.json.decode(given, type=Subject)
    confine(subject.memory_bytes)

    def ask() -> Question:
        return msgspec.json.decode(sys.stdin.buffer.readline(), type=Question)

    def send(answer: Answer) -> None:
        out.write(msgspec.json.encode(answer) + b"\n")
        out.flush()

    try:
        for answer in answers(subject, ask):
            send(answer)
    except KautopsyError as error:
        send(Answer(failure=Failure.of(error)))
        return 0
    except MemoryError:
        send(Answer(failure=Failure.out_of_memory(subject.dump, subject.memory_bytes)))
        return 0
    send(Answer(final=True))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
