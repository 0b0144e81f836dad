"""Insert, or change what is there: the one statement that both databases spell alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, select
from sqlalchemy.dialects import postgresql, sqlite

_MOST = 500
"""Rows and values of a statement: SQLite allows 32,766 variables."""


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    add: Sequence[str] = (),
    least: Sequence[str] = (),
    greatest: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> None:
    """Insert ``rows``; where ``keys`` are there already, change that row.

    :param add: columns whose values are added up
    :param least: keep the smaller value; ``greatest``: the larger; ``replace``: the new one
    """
    if not rows:
        return
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    new, old = insert.excluded, table.c
    changes: dict[str, ColumnElement[Any]] = {name: old[name] + new[name] for name in add}
    for name in least:
        changes[name] = case((new[name] < old[name], new[name]), else_=old[name])
    for name in greatest:
        changes[name] = case((new[name] > old[name], new[name]), else_=old[name])
    for name in replace:
        changes[name] = new[name]
    if changes:
        statement = insert.on_conflict_do_update(index_elements=list(keys), set_=changes)
    else:
        statement = insert.on_conflict_do_nothing(index_elements=list(keys))
    connection.execute(statement, list(rows))


def insert_one(connection: Connection, table: Table, **values: Any) -> int:
    """Insert a row: its number."""
    key = connection.execute(table.insert().values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def ids(connection: Connection, table: Table, column: str, values: Iterable[Any]) -> dict[Any, int]:
    """The numbers of the rows whose ``column`` is one of ``values``: value → id."""
    found: dict[Any, int] = {}
    wanted = list(dict.fromkeys(values))
    for start in range(0, len(wanted), _MOST):
        part = wanted[start : start + _MOST]
        rows = connection.execute(
            select(table.c[column], table.c.id).where(table.c[column].in_(part))
        )
        found.update((value, number) for value, number in rows)
    return found
