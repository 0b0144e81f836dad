"""A table's columns as SQL has them, and its rows as JSON that SQL can load.

Addresses are UBIGINT, other integers BIGINT. What a dump lacks is NULL, and the column
``unreadable`` of the same row says why, column by column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from kautopsy.model.base import Unreadable

if TYPE_CHECKING:
    from kautopsy.kernel.table import Table, TableColumn

DUMP = "dump"
"""First column of every table: which dump a row is of."""
REASONS = "unreadable"
"""Last column of tables with values that a dump may lack."""

_TYPES: dict[type, str] = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}
_RANGES = {"BIGINT": range(-(1 << 63), 1 << 63), "UBIGINT": range(1 << 64)}


def sql_type(column: TableColumn) -> str:
    """The SQL type of a table's column."""
    return "UBIGINT" if column.unit == "address" else _TYPES[column.type]


def sql_columns(table: Table[Any]) -> dict[str, str]:
    """Name → SQL type, in order, without the column ``dump``."""
    columns = {column.name: sql_type(column) for column in table.columns}
    if any(column.can_be_unreadable for column in table.columns):
        columns[REASONS] = "MAP(VARCHAR, VARCHAR)"
    return columns


def json_rows(rows: Iterable[msgspec.Struct], columns: dict[str, str]) -> bytes:
    """``rows`` as a JSON array of objects whose names and ranges are those of ``columns``."""
    return msgspec.json.encode([_plain(row, columns) for row in rows])


def _plain(row: msgspec.Struct, columns: dict[str, str]) -> dict[str, object]:
    plain: dict[str, object] = {}
    reasons: dict[str, str] = {}
    for name, kind in columns.items():
        if name == REASONS:
            continue
        value = getattr(row, name)
        if isinstance(value, Unreadable):
            reasons[name] = value.unreadable
            value = None
        elif kind in _RANGES and value is not None and value not in _RANGES[kind]:
            # Only corrupt memory says so; one such value must not cost the other rows.
            reasons[name] = f"{value} is out of range"
            value = None
        plain[name] = value
    if reasons:
        plain[REASONS] = reasons
    return plain
