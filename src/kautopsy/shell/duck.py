"""DuckDB with tables of the kernel's: connecting, creating, inserting."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec

from kautopsy.model.base import Unreadable
from kautopsy.model.errors import MissingToolError
from kautopsy.shell.sql_columns import DUMP
from kautopsy.shell.sql_messages import Opened
from kautopsy.shell.sql_schema import kept

if TYPE_CHECKING:
    import duckdb

DUMPS = "dumps"
"""The table of the dumps themselves: a row each."""
DUMPS_COLUMNS: dict[str, tuple[str, str]] = {
    "path": ("VARCHAR", "of the file"),
    "release": ("VARCHAR", "uname -r"),
    "version": ("VARCHAR", "uname -v"),
    "nodename": ("VARCHAR", "uname -n"),
    "machine": ("VARCHAR", "uname -m"),
    "build_id": ("VARCHAR", "of the kernel"),
    "cpus": ("BIGINT", "present"),
    "memory": ("BIGINT", "bytes"),
    "crash_time": ("TIMESTAMP WITH TIME ZONE", "when the kernel stopped"),
    "uptime": ("DOUBLE", "seconds"),
    "tasks": ("BIGINT", "threads, the idle ones included"),
    "panic": ("VARCHAR", "the panic message"),
    "complete": ("BOOLEAN", "by the dump's own header"),
    "symbols": ("VARCHAR", "dwarf, btf, kit, kallsyms or none"),
}
THREADS = 2
"""Of DuckDB, and processes that read dumps."""


def connect(memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """A database in memory that looks for nothing by itself.

    :param memory_bytes: what it may use; nothing is swapped out to disk
    :raises MissingToolError: the extra ``sql`` is not installed
    """
    try:
        import duckdb
    except ImportError:
        raise MissingToolError(
            "SQL needs DuckDB", thing="duckdb", hint="pip install 'kautopsy[sql]'"
        ) from None
    return duckdb.connect(
        config={
            # Names in a query must not become Python variables, downloads or files.
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": f"{memory_bytes >> 20}MiB",
            "temp_directory": "",
            "threads": THREADS,
        }
    )


def schema() -> dict[str, dict[str, str]]:
    """Every table's columns and their SQL types, ``dump`` first; views are not in it."""
    return {
        DUMPS: {DUMP: "VARCHAR", **{name: kind for name, (kind, _) in DUMPS_COLUMNS.items()}}
    } | {name: {DUMP: "VARCHAR", **table.columns} for name, table in kept().items()}


def create(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Create ``table``, empty, as :func:`schema` has it."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in schema()[table].items())
    cursor.execute(f'CREATE TABLE "{table}" ({columns})')


def insert(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    rows: bytes,
    dump: str,
    names: tuple[str, ...] | None = None,
) -> None:
    """Append a JSON array of objects, rows of the dump named ``dump``, to a table.

    :param names: the columns that the rows have, the others are NULL; None: all
    """
    columns = {
        name: kind
        for name, kind in schema()[table].items()
        if name != DUMP and (names is None or name in names)
    }
    shape = msgspec.json.encode([columns]).decode()
    cursor.execute(
        f'INSERT INTO "{table}" BY NAME SELECT ? AS {DUMP}, row.* '
        "FROM (SELECT unnest(from_json(?, ?)) AS row)",
        [dump, rows.decode(), shape],
    )


def insert_bare(cursor: duckdb.DuckDBPyConnection, table: str, count: int, dump: str) -> None:
    """Append ``count`` rows of which only the dump is asked for."""
    cursor.execute(f'INSERT INTO "{table}" BY NAME SELECT ? AS {DUMP} FROM range(?)', [dump, count])


def dumps_row(opened: Opened) -> bytes:
    """The row of the table :data:`DUMPS` for one dump, as a JSON array."""
    dump, system = opened.dump, opened.system
    assert system is not None  # it was asked for
    values: dict[str, object] = {
        "path": dump.path,
        "release": system.release,
        "version": system.version,
        "nodename": system.nodename,
        "machine": system.machine,
        "build_id": dump.build_id,
        "cpus": system.cpus,
        "memory": system.memory_bytes,
        "crash_time": _timestamp(system.crash_time),
        "uptime": system.uptime_seconds,
        "tasks": system.tasks,
        "panic": system.panic,
        "complete": dump.complete,
        "symbols": opened.symbols.source.value,
    }
    return msgspec.json.encode(
        [{name: None if isinstance(v, Unreadable) else v for name, v in values.items()}]
    )


def _timestamp(seconds: float | Unreadable) -> str | None:
    if isinstance(seconds, Unreadable):
        return None
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def literal(text: str) -> str:
    """``text`` as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
