"""A dump's tables in Parquet files: a megabyte that still answers when the dump is gone."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import UnreadableError, UsageError
from kautopsy.shell.duck import connect, create, insert, literal
from kautopsy.shell.sql_columns import DUMP
from kautopsy.shell.sql_messages import Opened
from kautopsy.shell.sql_schema import kept
from kautopsy.shell.sql_source import DumpSource

if TYPE_CHECKING:
    import duckdb

MANIFEST = "snapshot.json"


class Manifest(Noun, frozen=True, kw_only=True):
    """``snapshot.json``.

    :param rows: how many rows each table has; its file is ``TABLE.parquet``
    :param notes: what the tables lack, and why
    """

    schema: Literal["kautopsy.snapshot/1"] = "kautopsy.snapshot/1"
    opened: Opened
    rows: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A directory that :func:`write` made.

    :param name: what the column ``dump`` shows
    """

    name: str
    path: Path
    manifest: Manifest

    @property
    def opened(self) -> Opened:
        """What the dump was."""
        return self.manifest.opened

    def load(self, cursor: duckdb.DuckDBPyConnection, wanted: tuple[str, ...]) -> list[str]:
        """Append the tables ``wanted`` to those of the database; what they lack, in words.

        :raises UnreadableError: a file of the snapshot is damaged or missing
        """
        import duckdb

        notes = list(self.manifest.notes)
        for table in wanted:
            if table not in self.manifest.rows:
                notes.append(f"{table}: this snapshot was made before there was such a table")
                continue
            file = self.path / f"{table}.parquet"
            try:
                cursor.execute(
                    f'INSERT INTO "{table}" BY NAME SELECT ? AS dump, * FROM read_parquet(?)',
                    [self.name, str(file)],
                )
            except duckdb.Error as error:
                raise UnreadableError(
                    "is no table of a snapshot", thing=str(file), slug="bad-snapshot"
                ) from error
        return notes


def is_snapshot(path: Path) -> bool:
    """Whether ``path`` is a snapshot's directory."""
    return (path / MANIFEST).is_file()


def open_snapshot(path: Path, name: str) -> Snapshot:
    """The snapshot in the directory ``path``.

    :raises UnreadableError: its manifest cannot be read
    """
    return Snapshot(name, path, from_json((path / MANIFEST).read_bytes(), Manifest))


def write(source: DumpSource, directory: Path, *, memory_bytes: int = 1 << 30) -> Manifest:
    """Write every table of a dump into ``directory``, which is there whole or not at all.

    :param memory_bytes: what DuckDB may use
    :raises UsageError: ``directory`` exists and is not empty
    :raises KautopsyError: the dump cannot be opened
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            "exists and is not empty",
            thing=str(directory),
            slug="would-overwrite",
            hint="name a new directory",
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        manifest = _export(source, draft, memory_bytes)
        (draft / MANIFEST).write_text(to_json(manifest) + "\n")
        # As mkdir would have made it; the umask decides for the files.
        draft.chmod(0o755)
        draft.replace(directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return manifest


def _export(source: DumpSource, draft: Path, memory_bytes: int) -> Manifest:
    names = tuple(kept())
    opened = None
    notes: list[str] = []
    rows: dict[str, int] = {}
    with contextlib.closing(connect(memory_bytes)) as connection:
        for name in names:
            create(connection, name)
        for answer in source.answers(names):
            opened = answer.opened or opened
            if answer.table:
                insert(connection, answer.table, bytes(answer.rows), source.name)
            if answer.note:
                notes.append(answer.note)
        assert opened is not None  # answers() raises if the dump cannot be opened
        for name in names:
            file = literal(str(draft / f"{name}.parquet"))
            [rows[name]] = connection.execute(
                f'COPY (SELECT * EXCLUDE ({DUMP}) FROM "{name}") TO {file} '
                "(FORMAT parquet, COMPRESSION zstd)"
            ).fetchone() or (0,)
    return Manifest(opened=opened, rows=rows, notes=tuple(notes))
