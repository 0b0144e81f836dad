"""A file, or a directory file by file, into the store: once, however often it is asked for.

Everything is found again by its content or its event, so an ingest that was killed is simply run
again. Logs are read here; dumps are queued for the engine.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from kautopsy.fleet.database import Database
from kautopsy.fleet.files import content_id
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.grouping.sighting import Sighting
from kautopsy.fleet.intake import documents, sources
from kautopsy.fleet.intake.logs import sightings
from kautopsy.fleet.intake.origin import host_of, safe_name
from kautopsy.fleet.intake.sniff import Shape, sniff
from kautopsy.fleet.nouns import SourceKind, Stored
from kautopsy.model.crash import Crash
from kautopsy.model.errors import KautopsyError, UnreadableError

BATCH = 500
"""Crashes of a transaction."""
_LARGEST_DOCUMENT = 256 << 20
_KINDS = {
    Shape.DUMP: SourceKind.DUMP,
    Shape.LOG: SourceKind.LOG,
    Shape.ROWS: SourceKind.LOG,
    Shape.REPORT: SourceKind.REPORT,
    Shape.OOPS: SourceKind.OOPS,
    Shape.DOCTOR: SourceKind.DOCTOR,
    Shape.DRILL: SourceKind.DRILL,
}


@dataclass
class Tally:
    """What an ingest did; ``skipped`` says why of every file that was passed over."""

    files: int = 0
    unchanged: int = 0
    crashes: int = 0
    new_crashes: int = 0
    new_groups: int = 0
    regressions: int = 0
    dumps: int = 0
    answers: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, stored: Stored) -> None:
        """Count a batch."""
        self.crashes += stored.seen
        self.new_crashes += stored.new
        self.new_groups += stored.new_groups
        self.regressions += stored.regressions


class _Row(msgspec.Struct):
    """A line of a corpus."""

    id: str | int
    log: str | None = None
    crash: Crash | None = None
    host: str = ""


class Ingest:
    """Reads files into a store.

    :param host: that all files are of; empty: told by paths, or by what stands in the files
    :param on_file: called with every file before it is read
    """

    def __init__(
        self,
        database: Database,
        *,
        host: str = "",
        on_file: Callable[[Path], None] | None = None,
    ) -> None:
        self._database = database
        self._host = host
        self._on_file = on_file
        self.tally = Tally()

    def paths(self, paths: Iterable[Path]) -> Tally:
        """Files, and directories with all that is in them.

        :raises UnreadableError: a path that was named does not exist
        """
        for root in paths:
            if not root.exists():
                raise UnreadableError("no such file", thing=str(root), slug="no-such-file")
            for path in walk(root):
                host = self._host or host_of(path, root)
                try:
                    self.file(path, host=host)
                except KautopsyError as error:
                    self.tally.skipped.append((path, str(error)))
                except OSError as error:
                    self.tally.skipped.append((path, error.strerror or str(error)))
        return self.tally

    def file(
        self,
        path: Path,
        *,
        host: str,
        name: str | None = None,
        kept_as: str | None = None,
        sent_by: str = "",
    ) -> int | None:
        """One file: the number of its source, None where it is nothing that can be read.

        :param name: as its sender calls it
        :param kept_as: what the store calls it, where it lies in the data directory
        :raises UnreadableError: it cannot be read, or is damaged
        """
        if self._on_file is not None:
            self._on_file(path)
        shape = sniff(path)
        if shape in (Shape.OTHER, Shape.ARCHIVE):
            why = "neither a dump nor a log nor a document of kautopsy"
            if shape is Shape.ARCHIVE:
                why = "compressed: unpack it, or upload it"
            self.tally.skipped.append((path, why))
            return None
        info = path.stat()
        now = time.time()
        with self._database.write() as connection:
            source_id, state = sources.find_or_add(
                connection,
                content=content_id(path),
                kind=_KINDS[shape],
                name=safe_name(name or path.name),
                path=kept_as or str(path.resolve()),
                host=host,
                size=info.st_size,
                now=now,
                sent_by=sent_by,
            )
            if shape is Shape.DUMP and sources.queue(connection, source_id, now):
                self.tally.dumps += 1
        self.tally.files += 1
        if state == "done" or shape is Shape.DUMP:
            self.tally.unchanged += state == "done"
            return source_id
        if shape in (Shape.LOG, Shape.ROWS):
            self._log(path, shape, source_id, host, info.st_mtime)
        else:
            self._document(path, shape, source_id, host, info.st_mtime, now)
        return source_id

    def _log(self, path: Path, shape: Shape, source_id: int, host: str, written: float) -> None:
        read = _rows if shape is Shape.ROWS else _whole
        found = read(path, host, written, source_id)
        while batch := list(islice(found, BATCH)):
            with self._database.write() as connection:
                self.tally.add(record(connection, batch))
        with self._database.write() as connection:
            sources.set_state(connection, source_id, "done")

    def _document(
        self, path: Path, shape: Shape, source_id: int, host: str, written: float, now: float
    ) -> None:
        raw = _read(path)
        with self._database.write() as connection:
            stored = documents.take(
                connection,
                shape,
                raw,
                host=host,
                written=written,
                source_id=source_id,
                now=now,
            )
            sources.set_state(connection, source_id, "done")
        self.tally.add(stored)
        self.tally.answers += shape in (Shape.DOCTOR, Shape.DRILL)


def walk(root: Path) -> Iterator[Path]:
    """Regular files below ``root``, in order; links are not followed, hidden files left out."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _whole(path: Path, host: str, written: float, source_id: int) -> Iterator[Sighting]:
    with path.open("rb") as stream:
        yield from sightings(stream, host=host, written=written, source_id=source_id)


def _rows(path: Path, host: str, written: float, source_id: int) -> Iterator[Sighting]:
    """The crashes of JSON lines; each row is a log of its own."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=_Row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UnreadableError(
                    f"line {number} is no row of a corpus: {error}",
                    thing=str(path),
                    slug="bad-corpus",
                ) from error
            text = io.BytesIO((row.log or "").encode("utf-8", "replace"))
            yield from sightings(text, host=host or row.host, written=written, source_id=source_id)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(_LARGEST_DOCUMENT + 1)
    if len(raw) > _LARGEST_DOCUMENT:
        raise UnreadableError("is too long for a document", thing=str(path), slug="too-long")
    return raw
