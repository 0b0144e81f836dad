"""What SQL and the child process that reads a dump for it tell each other, in lines of JSON.

Whoever asks loads this and not what answers: drgn takes longer to load than a count takes.
"""

from __future__ import annotations

import msgspec

from kautopsy.model.dump import DumpFile
from kautopsy.model.report import Symbols, System
from kautopsy.triage.child import Failure

NO_ROWS = msgspec.Raw(b"[]")


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
    :param header: whether :attr:`Opened.system` is wanted: it counts tasks and reads the log
    """

    tables: tuple[str, ...]
    columns: frozenset[str] | None
    header: bool = True


class Opened(msgspec.Struct, frozen=True):
    """What was opened, and on which rung of the ladder of symbols."""

    dump: DumpFile
    symbols: Symbols
    system: System | None


class Answer(msgspec.Struct, frozen=True):
    """One line from the child.

    :param rows: a JSON array of objects, rows of ``table``
    :param columns: the columns that the rows have; None: all
    :param count: how many rows there are, where they have no columns at all
    :param note: why ``table`` has fewer rows than it should
    """

    opened: Opened | None = None
    table: str = ""
    rows: msgspec.Raw = NO_ROWS
    columns: tuple[str, ...] | None = None
    count: int = 0
    note: str = ""
    failure: Failure | None = None
    final: bool = False
