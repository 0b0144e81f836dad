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
from kautopsy.kernel.table import EVERYTHING, Table, named
from kautopsy.kernel.threads import missing_in_words
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Symbols, System
from kautopsy.shell.sql_columns import json_rows, sql_columns
from kautopsy.shell.sql_messages import NO_ROWS, Answer, Opened, Question, Subject
from kautopsy.shell.sql_schema import kept
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.child import Failure, confine

_CHUNK = 5000
"""Rows a line: enough that SQL loads them fast, few enough that a line stays small."""


def answers(subject: Subject, ask: Callable[[], Question]) -> Iterator[Answer]:
    """Open the dump and read its tables.

    :param ask: called once the dump is open
    :raises KautopsyError: it cannot be opened
    """
    program, dump, symbols = _open(subject)
    see_modules(program)
    question = ask()
    yield Answer(opened=Opened(dump, symbols, _header(program) if question.header else None))
    for name in question.tables:
        yield from _rows(named(name, kept()[name].module), program, question.columns)
    if question.tables:
        problem = missing_in_words(program)
        if problem is not None:
            yield Answer(note=problem)


def _header(program: Program) -> System:
    return system(program, readable(lambda: tuple(line.text for line in log(program))))


def _open(subject: Subject) -> tuple[Program, DumpFile, Symbols]:
    if subject.live:
        from kautopsy.shell.opening import open_live

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
        made = msgspec.Raw(json_rows(chunk, columns)) if columns else NO_ROWS
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
    # What is made until the dump is open stays; looking for garbage in it only takes time.
    gc.disable()
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
            if not gc.isenabled():
                gc.freeze()
                gc.enable()
    except KautopsyError as error:
        send(Answer(failure=Failure.of(error)))
        return 0
    except MemoryError:
        send(Answer(failure=Failure.out_of_memory(subject.dump, subject.memory_bytes)))
        return 0
    except BrokenPipeError:
        raise  # nobody listens any more
    except Exception as error:
        # A defect of a reader's, met by a dump like no other: told by its name, not by our death.
        send(Answer(failure=Failure.of_defect(subject.dump, error)))
        return 0
    send(Answer(final=True))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
