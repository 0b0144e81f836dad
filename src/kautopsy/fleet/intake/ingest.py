"""A file, or a directory file by file, into the store: once, however often it is asked for.

Everything is found again by its content or its event, so an ingest that was killed is simply run
again. Logs are read here; dumps are queued for the engine.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
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
FILES = 64
"""Files whose crashes share transactions: to commit costs as much as several crashes do."""
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


@dataclass
class _File:
    """A file on its way into the store."""

    path: Path
    shape: Shape
    source: sources.Arrival
    written: float
    source_id: int = 0
    state: str = ""
    failed: KautopsyError | OSError | None = None

    @property
    def is_log(self) -> bool:
        """It is a log whose crashes are not all stored."""
        return self.shape in (Shape.LOG, Shape.ROWS) and self.state != "done"

    @property
    def is_document(self) -> bool:
        """It is a document that is not stored."""
        return self.shape not in (Shape.LOG, Shape.ROWS, Shape.DUMP) and self.state != "done"


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
            files = walk(root)
            while some := list(islice(files, FILES)):
                self._several(some, root)
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
        one = self._look(path, host, name=name, kept_as=kept_as, sent_by=sent_by)
        if one is None:
            return None
        self._take_in([one], lambda _path: nullcontext())
        return one.source_id

    def _several(self, paths: Sequence[Path], root: Path) -> None:
        """Files whose crashes share transactions."""
        found: list[_File] = []
        for path in paths:
            with self._passed_over(path):
                one = self._look(path, self._host or host_of(path, root))
                if one is not None:
                    found.append(one)
        self._take_in(found, self._passed_over)

    def _take_in(
        self, found: Sequence[_File], guard: Callable[[Path], AbstractContextManager[None]]
    ) -> None:
        """Store what is in files; ``guard`` says what becomes of one's error."""
        self._enter(found)
        for log in self._logs(found):
            with guard(log.path):
                if log.failed is not None:
                    raise log.failed
        for one in found:
            if one.is_document:
                with guard(one.path):
                    self._document(one)

    @contextmanager
    def _passed_over(self, path: Path) -> Iterator[None]:
        try:
            yield
        except KautopsyError as error:
            self.tally.skipped.append((path, str(error)))
        except OSError as error:
            self.tally.skipped.append((path, error.strerror or str(error)))

    def _look(
        self,
        path: Path,
        host: str,
        *,
        name: str | None = None,
        kept_as: str | None = None,
        sent_by: str = "",
    ) -> _File | None:
        """What a file is; None where it is nothing that can be read."""
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
        source = sources.Arrival(
            content=content_id(path),
            kind=_KINDS[shape],
            name=safe_name(name or path.name),
            path=kept_as or str(path.resolve()),
            host=host,
            size=info.st_size,
            sent_by=sent_by,
        )
        return _File(path, shape, source, info.st_mtime)

    def _enter(self, files: Sequence[_File]) -> None:
        """Give files their sources, and ask for the analysis of dumps."""
        if not files:
            return
        now = time.time()
        with self._database.write() as connection:
            rows = sources.find_or_add(connection, [one.source for one in files], now=now)
            met: set[int] = set()
            for one, (source_id, state) in zip(files, rows, strict=True):
                # Of two copies one is read.
                state = "done" if source_id in met else state
                met.add(source_id)
                one.source_id, one.state = source_id, state
                if one.shape is Shape.DUMP and sources.queue(connection, source_id, now):
                    self.tally.dumps += 1
                self.tally.files += 1
                self.tally.unchanged += state == "done"

    def _logs(self, files: Sequence[_File]) -> list[_File]:
        """Read the logs among ``files`` and store their crashes: those logs.

        Where one cannot be read to its end, what stands before that is stored, and it is not done.
        """
        logs = [one for one in files if one.is_log]
        ended: list[_File] = []
        found = chain.from_iterable(_sightings(log, ended) for log in logs)
        while True:
            batch = list(islice(found, BATCH))
            done = [log.source_id for log in ended if log.failed is None]
            if batch or done:
                with self._database.write() as connection:
                    self.tally.add(record(connection, batch))
                    sources.set_done(connection, done)
            if not batch:
                return logs
            ended.clear()

    def _document(self, one: _File) -> None:
        raw = _read(one.path)
        with self._database.write() as connection:
            stored = documents.take(
                connection,
                one.shape,
                raw,
                host=one.source.host,
                written=one.written,
                source_id=one.source_id,
                now=time.time(),
            )
            sources.set_state(connection, one.source_id, "done")
        self.tally.add(stored)
        self.tally.answers += one.shape in (Shape.DOCTOR, Shape.DRILL)


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


def _sightings(log: _File, ended: list[_File]) -> Iterator[Sighting]:
    """The crashes of a log, which then joins ``ended``."""
    read = _rows if log.shape is Shape.ROWS else _whole
    try:
        yield from read(log)
    except (KautopsyError, OSError) as error:
        log.failed = error
    ended.append(log)


def _whole(log: _File) -> Iterator[Sighting]:
    with log.path.open("rb") as stream:
        yield from sightings(
            stream, host=log.source.host, written=log.written, source_id=log.source_id
        )


def _rows(log: _File) -> Iterator[Sighting]:
    """The crashes of JSON lines; each row is a log of its own."""
    with log.path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=_Row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UnreadableError(
                    f"line {number} is no row of a corpus: {error}",
                    thing=str(log.path),
                    slug="bad-corpus",
                ) from error
            text = io.BytesIO((row.log or "").encode("utf-8", "replace"))
            yield from sightings(
                text,
                host=log.source.host or row.host,
                written=log.written,
                source_id=log.source_id,
            )


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(_LARGEST_DOCUMENT + 1)
    if len(raw) > _LARGEST_DOCUMENT:
        raise UnreadableError("is too long for a document", thing=str(path), slug="too-long")
    return raw
