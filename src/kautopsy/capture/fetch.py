"""Bring a file home: resumable, checksummed, and never half under its final name.

While it comes it is called ``.NAME.partial``, and ``.NAME.origin`` beside it says which file of
which machine it is the beginning of: size, mtime and inode. If all of them still hold, the next try
goes on where this one broke off; the SHA-256 of the whole, computed on both sides, is what counts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kautopsy.host.host import Host
from kautopsy.model.capture import Fetched
from kautopsy.model.errors import KautopsyError, UnreachableError, UnreadableError

_PIECE = 1 << 20
_RESERVE = 16 << 20
"""Bytes that stay free at home."""
_SLOWEST_HASH = 20e6
"""Bytes a second that even an old machine's sha256sum makes."""
_STAT = 'stat -c "%s %Y %i" -- "${KAUTOPSY_ROOT:-}$1"'
_HASH = r"""
file=${KAUTOPSY_ROOT:-}$1
if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$file"
elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 <"$file" | sed 's/.*= *//'
elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$file"
else exit 127
fi
"""
_MAGICS_SQUEEZED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"\x04\x22\x4d\x18")

OnProgress = Callable[[int, int], None]
"""Called with the bytes that are here, and all there are."""


class Origin(msgspec.Struct, frozen=True):
    """Which file a partial one is the beginning of."""

    host: str
    path: str
    size: int
    mtime: int
    inode: int


@dataclass(frozen=True)
class Fetcher:
    """Brings files of one machine.

    :param host: where they are
    :param machine: its name, for the origin: what ``host`` is called may change
    :param squeeze: compress on the way
    :param tries: how often a connection that breaks is taken up again
    :param pause: seconds before that
    :param on_progress: told as bytes come
    """

    host: Host
    machine: str
    squeeze: bool = False
    tries: int = 5
    pause: float = 5.0
    on_progress: OnProgress | None = None

    def fetch(self, source: str, final: Path) -> Fetched:
        """Bring ``source`` to ``final``.

        :raises UnreachableError: the machine went away too often; what came is kept for the next
            try (slug ``cut-off``)
        :raises UnreadableError: it cannot be read, or what came is not what is there
        :raises KautopsyError: it cannot be written (slug ``disk-full``, ``not-written``)
        """
        started = time.monotonic()
        failures = 0
        again = False
        while True:
            try:
                return self._try(source, final, started)
            except _DamagedError as error:
                # A resumed file may have begun with another one's bytes: once from the start.
                if again or not error.resumed:
                    raise
                again = True
            except UnreachableError as error:
                failures += 1
                if failures >= self.tries or error.slug in _HOPELESS:
                    raise
                time.sleep(self.pause)

    def _try(self, source: str, final: Path, started: float) -> Fetched:
        origin = self._origin(source)
        partial = final.with_name(f".{final.name}.partial")
        note = final.with_name(f".{final.name}.origin")
        if final.exists():
            if (there := self._already(origin, final, source)) is not None:
                return there
            raise KautopsyError(
                "is there already, and is another file",
                thing=str(final),
                hint="move it away, or choose another --out",
                slug="would-overwrite",
            )
        with _writing(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            offset = _continue_at(partial, note, origin)
            _check_room(final.parent, origin.size - offset)
            if not offset:
                _write_origin(note, origin)
        digest = self._pull(origin, partial, offset)
        theirs = self._their_hash(origin)
        now = self._origin(source)
        if now != origin:
            raise UnreadableError(
                "changed while it was fetched", thing=f"{self.host.name}:{source}", slug="changed",
                hint="is it still being written? try again when it is not",
            )  # fmt: skip
        if digest != theirs:
            with _writing(final):
                partial.unlink(missing_ok=True)
                note.unlink(missing_ok=True)
            raise _DamagedError(
                "what came is not what is there: its SHA-256 differs",
                thing=f"{self.host.name}:{source}",
                slug="damaged",
                resumed=offset > 0,
            )
        with _writing(final):
            os.utime(partial, (origin.mtime, origin.mtime))
            partial.rename(final)
            _sync(final.parent)
            note.unlink(missing_ok=True)
        return Fetched(
            path=str(final),
            source=source,
            size=origin.size,
            sha256=digest,
            resumed_at=offset,
            seconds=round(time.monotonic() - started, 3),
        )

    def _pull(self, origin: Origin, partial: Path, offset: int) -> str:
        """Append what is missing; the SHA-256 of the whole."""
        digest = hashlib.sha256()
        there = 0
        with _writing(partial):
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            while there < offset and (piece := file.read(min(_PIECE, offset - there))):
                digest.update(piece)
                there += len(piece)
            self._tell(there, origin.size)
            if there < origin.size:
                for data in self.host.pull(origin.path, offset=there, squeeze=self.squeeze):
                    # A file that grows is caught by its stat; no more than was announced is kept.
                    data = data[: origin.size - there]
                    with _writing(partial):
                        file.write(data)
                    digest.update(data)
                    there += len(data)
                    self._tell(there, origin.size)
                    if there >= origin.size:
                        break
            with _writing(partial):
                file.flush()
                os.fsync(file.fileno())
        if there < origin.size:
            raise UnreachableError(
                f"the connection broke after {there} of {origin.size} bytes",
                thing=f"{self.host.name}:{origin.path}",
                hint="the same command goes on where this broke off",
                slug="cut-off",
            )
        return digest.hexdigest()

    def _already(self, origin: Origin, final: Path, source: str) -> Fetched | None:
        """What is at home already, if it is the very same."""
        if final.stat().st_size != origin.size:
            return None
        digest = hashlib.sha256()
        with final.open("rb") as file:
            while data := file.read(_PIECE):
                digest.update(data)
        if digest.hexdigest() != self._their_hash(origin):
            return None
        return Fetched(
            path=str(final),
            source=source,
            size=origin.size,
            sha256=digest.hexdigest(),
            resumed_at=origin.size,
        )

    def _origin(self, source: str) -> Origin:
        done = self.host.script(_STAT, source, timeout=60.0)
        words = done.text.split()
        if done.status or len(words) != 3:
            raise UnreadableError(
                f"cannot be seen: {done.complaint}", thing=f"{self.host.name}:{source}"
            )
        size, mtime, inode = map(int, words)
        return Origin(self.machine, source, size, mtime, inode)

    def _their_hash(self, origin: Origin) -> str:
        patience = 60.0 + origin.size / _SLOWEST_HASH
        done = self.host.script(_HASH, origin.path, timeout=patience)
        if done.status == 127:
            raise UnreadableError(
                "has neither sha256sum nor openssl: what comes from there cannot be checked",
                thing=self.host.name,
                slug="no-checksum",
            )
        words = done.text.split()
        if done.status or not words or len(words[0]) != 64:
            raise UnreadableError(
                f"its checksum cannot be computed: {done.complaint}",
                thing=f"{self.host.name}:{origin.path}",
            )
        return words[0].lower()

    def _tell(self, there: int, size: int) -> None:
        if self.on_progress is not None:
            self.on_progress(there, size)


class _DamagedError(UnreadableError):
    """The checksums differ; ``resumed``: a part of it was of an earlier try."""

    def __init__(self, what: str, *, thing: str, slug: str, resumed: bool) -> None:
        super().__init__(what, thing=thing, slug=slug)
        self.resumed = resumed


# Waiting does not mend these.
_HOPELESS = frozenset({"host-key-changed", "host-key-unknown", "auth-failed", "unknown-host"})


def worth_squeezing(head: bytes) -> bool:
    """Whether a file that begins so shrinks on the way: what is compressed already does not.

    A kdump-compressed dump's pages are compressed; an ELF core's, and a flattened stream of either
    kind, whose pages may be anything, are worth trying.
    """
    return not head.startswith((b"KDUMP   ", *_MAGICS_SQUEEZED))


def _continue_at(partial: Path, note: Path, origin: Origin) -> int:
    """How much of ``origin`` an earlier try has left."""
    try:
        same = msgspec.json.decode(note.read_bytes(), type=Origin) == origin
        size = partial.stat().st_size
    except (OSError, msgspec.DecodeError):
        same, size = False, 0
    if same and 0 < size <= origin.size:
        return size
    partial.unlink(missing_ok=True)
    return 0


def _write_origin(note: Path, origin: Origin) -> None:
    partial = note.with_name(f"{note.name}.new")
    partial.write_bytes(msgspec.json.encode(origin))
    partial.replace(note)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE:
        raise _disk_full(folder, f"{needed} bytes are still to come, and {free} are free")


def _disk_full(path: Path, what: str) -> KautopsyError:
    return KautopsyError(
        what,
        thing=str(path),
        hint="make room, or choose another --out; what came so far is kept, and the same command"
        " goes on there",
        slug="disk-full",
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(path, "no space left at home") from None
        raise KautopsyError(
            f"cannot be written: {error.strerror or error}", thing=str(path), slug="not-written"
        ) from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
