"""The manual of all tables, made from what they declare: ``python -m kautopsy.kernel.manual``."""

from __future__ import annotations

from kautopsy.kernel.table import TableColumn, tables

_HEAD = """\
# Tables

What `kernel/` reads out of a dump, as typed rows. Every table works without debuginfo (types from
the dump's own BTF); a value that the dump lacks is `unreadable` with the reason. Times are in
nanoseconds, addresses are virtual addresses of the dead kernel. Made from the declarations by
`python -m kautopsy.kernel.manual > docs/tables.md`; a test holds the two together.
"""


def _type(column: TableColumn) -> str:
    words = [column.type.__name__]
    if column.unit:
        words.append(f"({column.unit})")
    if column.can_be_none:
        words.append("or null")
    return " ".join(words)


def manual() -> str:
    """Markdown: one section a table, one line a column."""
    parts = [_HEAD]
    for table in tables():
        rows = "\n".join(
            f"| `{column.name}` | {_type(column)} | {column.doc.replace('|', '&#124;')} |"
            for column in table.columns
        )
        head = "| column | type | holds |\n|---|---|---|"
        parts.append(f"## `{table.name}`\n\n{table.doc}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(manual(), end="")
