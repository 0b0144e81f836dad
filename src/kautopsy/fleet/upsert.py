"""Insert, or change what is there: the one statement that both databases spell alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Table, case, func, select
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
    learn: Sequence[str] = (),
) -> None:
    """Insert ``rows``; where ``keys`` are there already, change that row.

    :param add: columns whose values are added up
    :param least: keep the smaller value; ``greatest``: the larger; ``replace``: the new one;
        ``learn``: the new one unless it is empty
    """
    if not rows:
        return
    changes = tuple(map(tuple, (add, least, greatest, replace, learn)))
    statement = _statement(table, connection.dialect.name, tuple(keys), changes)
    connection.execute(statement, list(rows))


# To build a statement costs as much as to run it on ten rows.
@lru_cache(64)
def _statement(
    table: Table, dialect: str, keys: tuple[str, ...], changes: tuple[tuple[str, ...], ...]
) -> Executable:
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    new, old = insert.excluded, table.c
    add, least, greatest, replace, learn = changes
    values: dict[str, ColumnElement[Any]] = {name: old[name] + new[name] for name in add}
    for name in least:
        values[name] = case((new[name] < old[name], new[name]), else_=old[name])
    for name in greatest:
        values[name] = case((new[name] > old[name], new[name]), else_=old[name])
    for name in replace:
        values[name] = new[name]
    for name in learn:
        if old[name].nullable:
            values[name] = func.coalesce(new[name], old[name])
        else:
            values[name] = case((new[name] != "", new[name]), else_=old[name])
    statement: Executable = (
        insert.on_conflict_do_update(index_elements=list(keys), set_=values)
        if values
        else insert.on_conflict_do_nothing(index_elements=list(keys))
    )
    return statement


def insert_one(connection: Connection, table: Table, **values: Any) -> int:
    """Insert a row: its number."""
    key = connection.execute(table.insert().values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def insert_many(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """Insert rows, which all have the same columns: their numbers."""
    if not rows:
        return []
    statement = table.insert().returning(table.c.id, sort_by_parameter_order=True)
    return list(connection.scalars(statement, list(rows)))


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
