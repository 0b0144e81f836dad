"""Where every table is declared and its columns, kept in a file: the tables themselves load drgn.

``make schema`` writes the file, a test holds it to the tables.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import msgspec

KEPT = Path(__file__).with_suffix(".json")


class Kept(msgspec.Struct, frozen=True):
    """What can be said of a table without loading it.

    :param module: that declares it
    :param columns: name → SQL type, in order, without the column ``dump``
    """

    module: str
    columns: dict[str, str]


@functools.cache
def kept() -> dict[str, Kept]:
    """All tables by name; not to be changed."""
    return msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Kept])


def text() -> bytes:
    """The file's content, from the tables."""
    from kautopsy.kernel.table import tables
    from kautopsy.shell.sql_columns import sql_columns

    declared = {table.name: Kept(table.rows.__module__, sql_columns(table)) for table in tables()}
    return msgspec.json.format(msgspec.json.encode(declared), indent=1) + b"\n"


def main() -> int:
    """Write the file."""
    KEPT.write_bytes(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
