"""Random access to a dump's bytes, whether they lie plain in the file or in a flattened stream.

``makedumpfile -F`` writes where it cannot seek (a pipe, ssh): a 4096-byte header and then records
``{ int64_t offset; int64_t buf_size; }`` in big-endian order, each followed by ``buf_size`` bytes
that belong at ``offset``; a record of (-1, -1) ends the stream (makedumpfile's
``struct makedumpfile_data_header``). Later records overwrite earlier ones.
"""

from __future__ import annotations

import bisect
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from kautopsy.model.errors import UnreadableError

FLATTENED_SIGNATURE = b"makedumpfile\0\0\0\0"
_FLATTENED_HEADER_SIZE = 4096
_RECORD = struct.Struct(">qq")


class DumpReader(Protocol):
    """The bytes of a dump by offset in the dump proper (not in the file that carries it)."""

    @property
    def size(self) -> int:
        """Bytes of the dump that are there."""

    @property
    def ended(self) -> bool:
        """False if the container itself breaks off."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``offset``; fewer where the dump ends or has a gap."""


@dataclass(frozen=True)
class PlainReader:
    """A dump that is the file itself."""

    file: BinaryIO
    size: int
    ended: bool = True

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``offset``."""
        return _pread(self.file, offset, size)


@dataclass(frozen=True)
class _Record:
    offset: int
    size: int
    position: int


@dataclass(frozen=True)
class FlattenedReader:
    """A dump inside ``makedumpfile -F``'s stream of records."""

    file: BinaryIO
    records: tuple[_Record, ...]
    size: int
    ended: bool
    _starts: tuple[int, ...] = field(repr=False)

    @classmethod
    def index(cls, file: BinaryIO, file_size: int) -> FlattenedReader:
        """Walk the records; reads 16 bytes for each."""
        position = _FLATTENED_HEADER_SIZE
        records: list[_Record] = []
        ended = False
        while len(raw := _pread(file, position, _RECORD.size)) == _RECORD.size:
            offset, size = _RECORD.unpack(raw)
            position += _RECORD.size
            if offset == -1 and size == -1:
                ended = True
                break
            if offset < 0 or size <= 0:
                break
            there = min(size, file_size - position)
            if there > 0:
                records.append(_Record(offset, there, position))
            position += size
        # Records come in rising order but for headers that are rewritten at the end: a stable sort
        # keeps the later of two records with one offset last, where read() finds it first.
        records.sort(key=lambda record: record.offset)
        end = max((record.offset + record.size for record in records), default=0)
        starts = tuple(record.offset for record in records)
        return cls(file, tuple(records), end, ended, starts)

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``offset``, stopping at the first gap."""
        parts: list[bytes] = []
        while size > 0:
            i = bisect.bisect_right(self._starts, offset) - 1
            # A short record may follow, by offset, a long one that covers more: look back a little.
            record = next(
                (
                    r
                    for r in reversed(self.records[max(0, i - 8) : i + 1])
                    if r.offset <= offset < r.offset + r.size
                ),
                None,
            )
            if record is None:
                break
            skip = offset - record.offset
            here = min(size, record.size - skip)
            # Up to where the next record starts: that one may have been written later.
            if i + 1 < len(self._starts):
                here = min(here, self._starts[i + 1] - offset)
            data = _pread(self.file, record.position + skip, here)
            if not data:
                break
            parts.append(data)
            offset += len(data)
            size -= len(data)
        return b"".join(parts)


class DumpBytes:
    """An open dump file; closes with ``with``.

    :raises UnreadableError: no such file, a directory, no permission, empty
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file: BinaryIO = path.open("rb")
        except FileNotFoundError:
            raise UnreadableError("no such file", thing=str(path), slug="no-such-file") from None
        except IsADirectoryError:
            raise UnreadableError(
                "is a directory",
                thing=str(path),
                slug="is-a-directory",
                hint="name the vmcore in it",
            ) from None
        except PermissionError:
            raise UnreadableError(
                "no permission to read it",
                thing=str(path),
                slug="no-permission",
                hint="dumps hold secrets and belong to root: use sudo, or copy it",
            ) from None
        self.file_size = self.file.seek(0, os.SEEK_END)
        self.flattened = _pread(self.file, 0, 16) == FLATTENED_SIGNATURE
        self.reader: DumpReader = (
            FlattenedReader.index(self.file, self.file_size)
            if self.flattened
            else PlainReader(self.file, self.file_size)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _pread(file: BinaryIO, offset: int, size: int) -> bytes:
    # A damaged header's offsets may be negative or beyond off_t.
    if offset < 0 or size < 0 or offset + size >= 1 << 63:
        return b""
    return os.pread(file.fileno(), size, offset)
