"""Files over the network: resumable, limited, checked, and never named by those who send them.

An upload is begun (:func:`begin`), filled from wherever it stands (:func:`receive`), and finished
(:func:`finish`), which checks it and puts what it holds into the store. Each step can be done again
after a kill of either side: the file in ``incoming/`` is the truth about how much has arrived, and
the store's transaction about whether it was taken.

For a server: these functions block; call them in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder, content_id
from kautopsy.fleet.intake.ingest import Ingest
from kautopsy.fleet.intake.origin import safe_name
from kautopsy.fleet.intake.sniff import Shape, sniff
from kautopsy.fleet.intake.unpack import unpack
from kautopsy.fleet.nouns import Upload
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError, UsageError

ROOM = 1 << 30
"""Bytes that stay free on the disk."""
_HEX = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")
_BLOCK = 1 << 20
_U = schema.upload.c


class Uploads:
    """The uploads of a store.

    :param settings: ``upload_limit``, ``unpacked_limit``
    """

    def __init__(self, database: Database, data: DataFolder, settings: Settings) -> None:
        self._database = database
        self._data = data
        self._settings = settings

    def begin(self, *, host: str, name: str, size: int, sha256: str, sent_by: str = "") -> Upload:
        """Announce a file; one that was announced before and is not done goes on where it stood.

        :param host: that it is of
        :param name: as its sender calls it; kept for people, never a path
        :param size: bytes
        :param sha256: of the whole file, 64 hex digits
        :raises UsageError: ``sha256`` or ``size`` make no sense, or there is no host
        :raises RefusedError: larger than ``upload_limit`` (``too-large``), or no room (``no-room``)
        """
        sha256 = sha256.lower()
        if not _HEX.fullmatch(sha256):
            raise UsageError("64 hex digits are wanted", thing="sha256", slug="bad-checksum")
        if size <= 0:
            raise UsageError("is no size of a file", thing=str(size), slug="bad-size")
        if not host:
            raise UsageError("which host's?", thing="host", slug="no-host")
        limit = self._settings.upload_limit
        if size > limit:
            raise RefusedError(
                f"{size} bytes are more than the {limit} that are taken",
                thing=safe_name(name),
                slug="too-large",
                hint="dump with makedumpfile -d 31, or raise upload-limit",
            )
        with self._database.write() as connection:
            found = connection.scalar(
                select(_U.id).where(
                    _U.sha256 == sha256,
                    _U.host_name == host,
                    _U.size == size,
                    _U.state.in_(("open", "done")),
                )
            )
            if found is not None:
                return self._get(connection, found)
            if self._data.free_bytes() < size + ROOM:
                raise RefusedError("there is no room for it", thing=safe_name(name), slug="no-room")
            number = secrets.token_hex(16)
            now = time.time()
            connection.execute(
                schema.upload.insert().values(
                    id=number,
                    host_name=host,
                    name=safe_name(name),
                    size=size,
                    sha256=sha256,
                    sent_by=sent_by,
                    state="open",
                    created=now,
                    updated=now,
                )
            )
            return self._get(connection, number)

    def status(self, upload_id: str) -> Upload:
        """Where an upload stands: ``offset`` is from where to go on.

        :raises UnreadableError: there is none (``no-such-upload``)
        """
        with self._database.read() as connection:
            return self._get(connection, upload_id)

    @contextmanager
    def receive(self, upload_id: str, offset: int) -> Iterator[Receiver]:
        """Write bytes from ``offset`` on: ``receiver.write(block)`` for each that arrives.

        What was written when the connection breaks is kept.

        :raises RefusedError: ``offset`` is not where it stands (``wrong-offset``), somebody else is
            sending it (``busy``), it is done (``upload-closed``); or, while writing, more comes
            than was announced (``too-large``)
        """
        upload = self.status(upload_id)
        if upload.state != "open":
            raise RefusedError(f"it is {upload.state}", thing=upload_id, slug="upload-closed")
        descriptor = os.open(
            self._path(upload_id), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640
        )
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError(
                    "somebody else is sending it", thing=upload_id, slug="busy"
                ) from None
            there = os.fstat(descriptor).st_size
            if offset != there:
                raise RefusedError(
                    f"it stands at {there}, not at {offset}",
                    thing=upload_id,
                    slug="wrong-offset",
                    hint="ask for its status, and go on from there",
                )
            os.lseek(descriptor, there, os.SEEK_SET)
            yield Receiver(descriptor, there, upload.size, upload_id)
        finally:
            os.close(descriptor)

    def finish(self, upload_id: str) -> Upload:
        """Check a file that has arrived, and put what it holds into the store.

        Done again, it does nothing again. A compressed file or an archive is unpacked, and each of
        its members taken.

        :raises RefusedError: not all of it has arrived (``incomplete``), its checksum is another's
            (``wrong-checksum``: it is thrown away, send it again), or what is packed in it is too
            much (``too-large``, ``too-many-files``, ``bomb``)
        :raises UnreadableError: there is no such upload, or nothing in it can be read
        """
        upload = self.status(upload_id)
        if upload.state != "open":
            return upload
        path = self._path(upload_id)
        if upload.offset != upload.size:
            raise RefusedError(
                f"{upload.offset} of {upload.size} bytes have arrived",
                thing=upload_id,
                slug="incomplete",
            )
        if _sha256(path) != upload.sha256:
            path.unlink(missing_ok=True)
            raise RefusedError(
                "its checksum is not the one that was announced: send it again",
                thing=upload_id,
                slug="wrong-checksum",
            )
        try:
            source_id = self._take(upload, path)
        except KautopsyError as error:
            self._close(upload_id, "refused", str(error), None)
            raise
        self._close(upload_id, "done", "", source_id)
        return self.status(upload_id)

    def expire(self, older_than: float) -> int:
        """Drop uploads that nobody went on with for so many seconds, and leftovers: how many."""
        before = time.time() - older_than
        dropped = 0
        for path in list(self._data.incoming.iterdir()):
            if path.stat().st_mtime > before:
                continue
            with self._database.write() as connection:
                connection.execute(
                    delete(schema.upload).where(_U.id == path.stem, _U.state == "open")
                )
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            dropped += 1
        return dropped

    def _take(self, upload: Upload, path: Path) -> int | None:
        ingest = Ingest(self._database)
        if sniff(path) is not Shape.ARCHIVE:
            return self._file(ingest, upload, path, upload.name)
        folder = path.with_suffix(".d")
        shutil.rmtree(folder, ignore_errors=True)
        room = max(0, self._data.free_bytes() - ROOM)
        try:
            members = unpack(path, folder, limit=min(self._settings.unpacked_limit, room))
            found = [
                self._file(ingest, upload, member.path, member.name)
                for member in members
                if sniff(member.path) not in (Shape.OTHER, Shape.ARCHIVE)
            ]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not found:
            raise UnreadableError(
                "holds neither a dump nor a log nor a document", thing=upload.name, slug="no-dump"
            )
        return found[0]

    def _file(self, ingest: Ingest, upload: Upload, path: Path, name: str) -> int | None:
        kept = self._data.keep(path, content_id(path))
        source_id = ingest.file(
            self._data.path_of(kept),
            host=upload.host,
            name=name,
            kept_as=kept,
            sent_by=upload.id,
        )
        if source_id is None:
            self._data.remove(kept)
            raise UnreadableError(
                "is neither a dump nor a log nor a document of kautopsy",
                thing=name,
                slug="no-dump",
            )
        return source_id

    def _close(self, upload_id: str, state: str, detail: str, source_id: int | None) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(schema.upload)
                .where(_U.id == upload_id)
                .values(state=state, detail=detail, source_id=source_id, updated=time.time())
            )
        self._path(upload_id).unlink(missing_ok=True)

    def _path(self, upload_id: str) -> Path:
        if not _ID.fullmatch(upload_id):
            raise UnreadableError("there is no such upload", slug="no-such-upload")
        return self._data.incoming / upload_id

    def _get(self, connection: Connection, upload_id: str) -> Upload:
        path = self._path(upload_id)
        found = connection.execute(select(schema.upload).where(_U.id == upload_id)).first()
        if found is None:
            raise UnreadableError("there is no such upload", thing=upload_id, slug="no-such-upload")
        offset = found.size if found.state == "done" else 0
        if found.state == "open":
            with contextlib.suppress(FileNotFoundError):
                offset = path.stat().st_size
        return Upload(
            id=found.id,
            host=found.host_name,
            name=found.name,
            size=found.size,
            offset=offset,
            sha256=found.sha256,
            state=found.state,
            detail=found.detail,
            source_id=found.source_id,
        )


class Receiver:
    """The end of a file that grows."""

    def __init__(self, descriptor: int, offset: int, size: int, thing: str) -> None:
        self._descriptor = descriptor
        self._size = size
        self._thing = thing
        self.offset = offset

    def write(self, block: bytes) -> None:
        """Add bytes.

        :raises RefusedError: more come than were announced (``too-large``)
        """
        if self.offset + len(block) > self._size:
            raise RefusedError(
                f"more than the {self._size} bytes that were announced",
                thing=self._thing,
                slug="too-large",
            )
        view = memoryview(block)
        while view:
            count = os.write(self._descriptor, view)
            self.offset += count
            view = view[count:]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
