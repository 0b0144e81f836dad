"""How rows of SQL are printed: a table, JSON, CSV; and the schema."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kautopsy.report.escape import one_line
from kautopsy.report.save import write

if TYPE_CHECKING:
    from kautopsy.shell.sql import Result

_NUMBERS = ("INT", "DOUBLE", "DECIMAL", "FLOAT")


def print_result(result: Result, notes: Sequence[str], kind: str, out: Path | None) -> None:
    """Print ``result`` as ``table``, ``json`` or ``csv``, or write it to the file ``out``."""
    text = {"table": _table, "csv": _csv}.get(kind, lambda one: _json(one, notes))(result)
    if out is None:
        sys.stdout.write(text)
    else:
        write(out, text)


def _table(result: Result) -> str:
    """Aligned columns, numbers to the right; addresses (all UBIGINT are) in hexadecimal."""
    cells = [
        [_cell(value, kind) for value, kind in zip(row, result.types, strict=True)]
        for row in result.rows
    ]
    heads = [one_line(name) for name in result.columns]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(heads)]
    right = [any(word in kind for word in _NUMBERS) for kind in result.types]

    def line(parts: Sequence[str]) -> str:
        aligned = (
            part.rjust(width) if number else part.ljust(width)
            for part, width, number in zip(parts, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip() + "\n"

    rule = "  ".join("─" * width for width in widths) + "\n"
    count = f"({len(cells)} row{'' if len(cells) == 1 else 's'})\n"
    return line(heads) + rule + "".join(line(row) for row in cells) + count


def _cell(value: object, kind: str) -> str:
    if value is None:
        return "NULL"
    if kind == "UBIGINT":
        return f"{value:#x}"
    if isinstance(value, dict):
        return one_line("; ".join(f"{name}: {why}" for name, why in value.items()))
    return one_line(str(value))


def _csv(result: Result) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows(result.rows)
    return buffer.getvalue()


def _json(result: Result, notes: Sequence[str]) -> str:
    names = list(_distinct(result.columns))
    document = {
        "schema": "kautopsy.sql/1",
        "columns": [
            {"name": name, "type": kind} for name, kind in zip(names, result.types, strict=True)
        ],
        "rows": [
            {name: _plain(value) for name, value in zip(names, row, strict=True)}
            for row in result.rows
        ],
        "truncated": result.truncated,
        "notes": list(dict.fromkeys(notes)),
    }
    encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="number")
    return msgspec.json.format(encoder.encode(document), indent=2).decode() + "\n"


def _plain(value: Any) -> object:
    # HUGEINT, which sum() of integers is, may not fit what JSON's readers have for integers.
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value


def _distinct(names: Sequence[str]) -> Iterator[str]:
    """Names for JSON's objects: SQL allows the same one twice."""
    seen: dict[str, int] = {}
    for name in names:
        number = seen[name] = seen.get(name, 0) + 1
        yield name if number == 1 else f"{name}_{number}"


def print_schema(kind: str) -> None:
    """Print every table and view, with columns, types, units and meaning."""
    from kautopsy.kernel.table import tables
    from kautopsy.shell.duck import DUMPS, DUMPS_COLUMNS, schema
    from kautopsy.shell.sql_columns import DUMP, REASONS
    from kautopsy.shell.sql_views import VIEWS

    types = schema()
    docs: dict[str, dict[str, tuple[str, str]]] = {
        DUMPS: {name: ("", doc) for name, (_, doc) in DUMPS_COLUMNS.items()},
        **{
            table.name: {column.name: (column.unit, column.doc) for column in table.columns}
            for table in tables()
        },
    }
    heads = {DUMPS: "The dumps of the query, a row each.", **{t.name: t.doc for t in tables()}}
    common = {DUMP: ("", "whose row it is"), REASONS: ("", "column → why the dump lacks it")}
    if kind == "json":
        document = {
            "schema": "kautopsy.sql-schema/1",
            "tables": [
                {
                    "name": name,
                    "doc": heads[name],
                    "columns": [
                        dict(
                            zip(
                                ("name", "type", "unit", "doc"),
                                (column, sql, *(docs[name] | common)[column]),
                                strict=True,
                            )
                        )
                        for column, sql in columns.items()
                    ],
                }
                for name, columns in types.items()
            ],
            "views": [{"name": v.name, "doc": v.doc, "query": v.query.strip()} for v in VIEWS],
        }
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    for name, columns in types.items():
        print(f"{name}: {heads[name]}")
        for column, sql in columns.items():
            unit, doc = (docs[name] | common)[column]
            print(f"    {column:<16} {sql:<22} {doc}{f' ({unit})' if unit else ''}")
        print()
    for view in VIEWS:
        print(f"{view.name} (view): {view.doc}")
