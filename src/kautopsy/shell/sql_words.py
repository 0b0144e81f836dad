"""Which tables and columns a query may speak of: what must be read from a dump, and what need not.

Always rather too much than too little: a table or a column too many costs milliseconds, one too
few a wrong answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kautopsy.shell.sql_columns import REASONS
from kautopsy.shell.sql_views import VIEWS

if TYPE_CHECKING:
    import duckdb

# What means columns that it does not name.
_ANY_COLUMN = {"STAR", "POSITIONAL_REFERENCE", "SHOW_REF", "NATURAL", "PIVOT", "TABLE_FUNCTION"}


def named(text: str) -> set[str]:
    """Names of tables and views that ``text`` may speak of, and those behind the views.

    Words, not syntax.
    """
    words = set(re.findall(r"\w+", text.lower()))
    for view in VIEWS:
        if view.name in words:
            words |= set(re.findall(r"\w+", view.query.lower()))
    return words


def columns_of(connection: duckdb.DuckDBPyConnection, text: str) -> frozenset[str] | None:
    """Names of columns that ``text``, or a view in it, may speak of; None: any there are."""
    words = named(text)
    texts = [text, *(view.query for view in VIEWS if view.name in words)]
    found: set[str] = set()
    for one in texts:
        columns = _of_query(connection, one)
        if columns is None:
            return None
        found |= columns
    # Why values are missing, asked without saying which.
    return None if REASONS in found else frozenset(found)


def _of_query(connection: duckdb.DuckDBPyConnection, text: str) -> set[str] | None:
    # DuckDB's own syntax tree; PIVOT, EXPLAIN and SUMMARIZE are not given as one.
    [tree] = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone() or ("{}",)
    parsed = json.loads(tree)
    if parsed.get("error", True):
        return None
    tables: set[str] = set()
    columns: set[str] = set()
    for node in _nodes(parsed):
        # A join's kind is in ref_type.
        if {node.get("type"), node.get("class"), node.get("ref_type")} & _ANY_COLUMN:
            return None
        if node.get("column_name_alias"):
            return None  # FROM tasks AS t(a, b): columns by number
        if "class" not in node:  # what FROM names, not an expression
            tables |= {str(node[key]).lower() for key in ("table_name", "alias") if node.get(key)}
        for key in ("column_names", "using_columns"):
            columns |= {str(name).lower() for name in node.get(key, ())}
    # SELECT t FROM tasks AS t: a row as one value.
    return None if _bare(parsed) & tables else columns


def _bare(parsed: Any) -> set[str]:
    return {
        str(node["column_names"][-1]).lower()
        for node in _nodes(parsed)
        if node.get("class") == "COLUMN_REF" and node.get("column_names")
    }


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _nodes(one)
    elif isinstance(value, list):
        for one in value:
            yield from _nodes(one)
