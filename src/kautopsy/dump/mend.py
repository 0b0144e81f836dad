"""A private copy of a damaged kdump-compressed file, without what leads out of it.

libkdumpfile maps a dump in pieces and follows every page descriptor: one that leads beyond the end
of the file costs the process its life (SIGBUS), takes zeros for a page that is not compressed, or
takes forever. In the copy such a descriptor has the size 0, at which reading its page fails, and
so have the parts that the second header places beyond the end.

The copy has no name and goes with whoever has it open. On file systems that share blocks (XFS,
btrfs) it takes no space; elsewhere it takes as much as the dump, so a large one is refused.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kautopsy.dump.extent import DESCRIPTOR_SIZE
from kautopsy.dump.kdump import read_kdump
from kautopsy.dump.reader import DumpBytes, DumpReader
from kautopsy.model.errors import UnreadableError

_MOST_BYTES = 8 << 30
_PIECE = 4 << 20
_SOME = 1 << 16


@contextmanager
def mended(path: Path) -> Iterator[tuple[Path, str]]:
    """Copy the dump at ``path``, a flattened one as a plain one, and mend the copy.

    Gives what to open it by, as long as the context lasts, and in words which pages it lost.

    :raises UnreadableError: it is too large to be copied, or there is no space for it
    """
    with DumpBytes(path) as dump:
        if dump.reader.size > _MOST_BYTES:
            raise _hopeless(path, "it is too large to be mended in a copy")
        try:
            with _nameless(path) as copy:
                _copy(dump, copy)
                lost, pages = _mend(dump.reader, copy)
                words = f"{lost} of {pages} page descriptors lead out of the file" if lost else ""
                yield Path(f"/proc/self/fd/{copy.fileno()}"), words
        except OSError as error:
            raise _hopeless(path, f"no copy can be made: {error.strerror}") from error


def _hopeless(path: Path, why: str) -> UnreadableError:
    return UnreadableError(
        f"its page descriptors lead out of the file, and {why}", thing=str(path), slug="damaged"
    )


def _nameless(path: Path) -> IO[bytes]:
    """A file beside the dump, where blocks can be shared; elsewhere if that may not be written."""
    try:
        return tempfile.TemporaryFile(dir=path.parent)
    except OSError:
        return tempfile.TemporaryFile()


def _copy(dump: DumpBytes, copy: IO[bytes]) -> None:
    source, target, size = dump.file.fileno(), copy.fileno(), dump.reader.size
    if not dump.flattened:
        try:
            done = 0
            while done < size:
                done += os.copy_file_range(source, target, size - done, done, done) or size
        except OSError:
            pass  # another file system, or an old kernel
        else:
            return
    for at in range(0, size, _PIECE):
        os.pwrite(target, dump.reader.read(at, min(_PIECE, size - at)), at)


def _mend(reader: DumpReader, copy: IO[bytes]) -> tuple[int, int]:
    """Disarm descriptors: how many, of how many."""
    header = read_kdump(reader)
    assert header is not None and header.descriptors is not None
    table, lost = header.descriptors, 0
    for at in header.astray:
        os.pwrite(copy.fileno(), bytes(16), at)
    for first in range(0, table.count, _SOME):
        for index, one in enumerate(table.read(reader, first, min(_SOME, table.count - first))):
            if table.is_stray(*one, reader.size):
                at = table.start + (first + index) * DESCRIPTOR_SIZE
                os.pwrite(copy.fileno(), bytes(DESCRIPTOR_SIZE), at)
                lost += 1
    return lost, table.count
