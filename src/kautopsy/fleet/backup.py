"""A copy of the store that another machine can be started from, on either database.

A backup is one file, ``kautopsy-fleet.tar``: ``meta.json`` (schema and version), the rows of every
table as JSON lines, and, if asked for, the files that were received. It is taken in one consistent
read while everybody else goes on, and it can be restored into the other kind of database: that is
the way from SQLite to PostgreSQL.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, LargeBinary, Table, func, insert, select, text

from kautopsy import __version__
from kautopsy.fleet import migrate, schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.model.errors import RefusedError, UnreadableError

_FORMAT = 1
_PART = 1000
_SPOOL = 64 << 20


def backup(database: Database, target: Path, *, data: DataFolder | None = None) -> dict[str, int]:
    """Write the store to ``target``, whole or not at all: table → rows.

    :param data: copy the files that were received too
    """
    partial = target.with_name(f".{target.name}.partial")
    counts: dict[str, int] = {}
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(database.read())
            tar = stack.enter_context(tarfile.open(partial, "w"))
            meta = {"format": _FORMAT, "revision": migrate.head(), "version": __version__}
            _add(tar, "meta.json", io.BytesIO(json.dumps(meta).encode()))
            for table in schema.metadata.sorted_tables:
                with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as rows:
                    counts[table.name] = _write_rows(connection, table, rows)
                    _add(tar, f"tables/{table.name}.jsonl", rows)
            if data is not None:
                for path in sorted((data.root / "received").rglob("*")):
                    if path.is_file():
                        tar.add(path, f"data/{path.relative_to(data.root)}", recursive=False)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return counts


def restore(database: Database, source: Path, *, data: DataFolder | None = None) -> dict[str, int]:
    """Fill an empty store from a backup: table → rows.

    :param data: where files go that are in it
    :raises UnreadableError: it is no backup, or of another schema
    :raises RefusedError: the store is not empty (``not-empty``)
    """
    counts: dict[str, int] = {}
    try:
        with tarfile.open(source) as tar:
            first = tar.next()
            if first is None or first.name != "meta.json":
                raise UnreadableError("is no backup", thing=str(source), slug="no-backup")
            _check(json.load(_open(tar, first)), source)
            with database.write() as connection:
                _check_empty(connection, database)
                # In the order in which they were written: rows that others point to come first.
                for member in tar:
                    name = member.name
                    if name.startswith("tables/") and name.endswith(".jsonl"):
                        table = schema.metadata.tables[name[7:-6]]
                        counts[table.name] = _read_rows(connection, table, _open(tar, member))
                    elif name.startswith("data/received/") and data is not None:
                        member.name = name.removeprefix("data/")
                        tar.extract(member, data.root, filter="data")
                _reset_numbers(connection, database)
    except (tarfile.TarError, ValueError, KeyError) as error:
        raise UnreadableError(
            f"is damaged, or no backup: {error}", thing=str(source), slug="no-backup"
        ) from error
    return counts


def _add(tar: tarfile.TarFile, name: str, stream: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = stream.seek(0, io.SEEK_END)
    info.mtime = int(time.time())
    info.mode = 0o600
    stream.seek(0)
    tar.addfile(info, stream)


def _write_rows(connection: Connection, table: Table, out: IO[bytes]) -> int:
    count = 0
    order = list(table.primary_key.columns)
    rows = connection.execute(select(table).order_by(*order).execution_options(yield_per=_PART))
    for row in rows.mappings():
        values = {
            str(name): base64.b85encode(value).decode() if isinstance(value, bytes) else value
            for name, value in row.items()
        }
        out.write(json.dumps(values).encode() + b"\n")
        count += 1
    return count


def _read_rows(connection: Connection, table: Table, stream: IO[bytes]) -> int:
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    later: list[dict[str, Any]] = []
    count = 0
    for part in _parts(stream):
        for row in part:
            for name in binary:
                if row[name] is not None:
                    row[name] = base64.b85decode(row[name])
            # A group that was merged away may point to one that comes later.
            if table is schema.group and row["merged_into"] is not None:
                later.append({"id": row["id"], "merged_into": row["merged_into"]})
                row["merged_into"] = None
        connection.execute(insert(table), part)
        count += len(part)
    for row in later:
        connection.execute(
            schema.group.update()
            .where(schema.group.c.id == row["id"])
            .values(merged_into=row["merged_into"])
        )
    return count


def _parts(stream: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for line in stream:
        part.append(json.loads(line))
        if len(part) == _PART:
            yield part
            part = []
    if part:
        yield part


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(member)
    if stream is None:
        raise ValueError(f"{member.name} is no file")
    return stream


def _check(meta: dict[str, Any], source: Path) -> None:
    if meta.get("format") != _FORMAT or meta.get("revision") != migrate.head():
        raise UnreadableError(
            f"kautopsy {meta.get('version', '?')} made it, with schema {meta.get('revision', '?')};"
            f" this one has {migrate.head()}",
            thing=str(source),
            slug="other-schema",
            hint="restore it with that version, then upgrade",
        )


def _check_empty(connection: Connection, database: Database) -> None:
    for table in (schema.host, schema.crash, schema.source, schema.account):
        if connection.scalar(select(func.count()).select_from(table)):
            raise RefusedError(
                "is not empty",
                thing=database.url,
                slug="not-empty",
                hint="restore into a new database, and switch over to it",
            )
    connection.execute(schema.meta.delete())


def _reset_numbers(connection: Connection, database: Database) -> None:
    """PostgreSQL numbers rows by sequences, which do not see numbers that were given."""
    if database.is_sqlite:
        return
    for table in schema.metadata.sorted_tables:
        if "id" in table.c and table.c.id.autoincrement and table.c.id.type.python_type is int:
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'),"
                    f" COALESCE((SELECT MAX(id) FROM {table.name}), 0) + 1, false)"
                )
            )
