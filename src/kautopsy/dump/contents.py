"""Pages of a kdump-compressed file in long runs, quicker than libkdumpfile gives them one by one.

For whoever reads all of a dump: libkdumpfile looks each page up in its cache of a thousand, which
takes as long again as inflating it. Here are only pages that lie plain or deflated by zlib, in a
file whose headers are sound; the rest is libkdumpfile's.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from pathlib import Path
from typing import Self, cast

from kautopsy.dump.extent import DESCRIPTOR_SIZE, PAGE_DESC
from kautopsy.dump.pages import geometry, ranges_of_bitmap
from kautopsy.dump.reader import DumpBytes
from kautopsy.model.errors import UnreadableError

try:  # takes two thirds of the time; wheels exist for x86-64 and arm64
    from isal import isal_zlib as zlib
except ImportError:
    import zlib  # type: ignore[no-redef]

_DESCRIPTOR = struct.Struct("<" + PAGE_DESC)
_PLAIN, _ZLIB = 0, 1
_INFLATE_ERROR = cast("type[Exception]", zlib.error)


class Contents:
    """The file at ``path``, open.

    :raises UnreadableError: it is no kdump-compressed file of a 64- or 32-bit little-endian machine
    """

    def __init__(self, path: Path) -> None:
        self._bytes = DumpBytes(path)
        try:
            found = geometry(self._bytes.reader, path)
            self._ranges = list(ranges_of_bitmap(self._bytes.reader, found))
        except UnreadableError:
            self._bytes.file.close()
            raise
        self._block = block = found.block
        self._descriptors = found.descriptors
        self._starts = [low for low, _ in self._ranges]
        pages = ((high - low) // block for low, high in self._ranges)
        self._indexes = list(itertools.accumulate(pages, initial=0))
        self._shared: tuple[int, bytes] = (-1, b"")

    def __enter__(self) -> Self:
        self._bytes.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.__exit__(None, None, None)

    def read(self, start: int, size: int) -> bytes | None:
        """``size`` bytes at the physical address ``start``; None where another must read them.

        Both are of whole pages.
        """
        pages = self.pages(start, size)
        return b"".join(pages) if pages is not None else None

    def pages(self, start: int, size: int) -> list[bytes] | None:
        """As :meth:`read`, page by page; pages that the file holds once are one object."""
        block = self._block
        number = bisect.bisect_right(self._starts, start) - 1
        if number < 0 or start + size > self._ranges[number][1] or start % block or size % block:
            return None
        index = self._indexes[number] + (start - self._starts[number]) // block
        at = self._descriptors + index * DESCRIPTOR_SIZE
        raw = self._bytes.reader.read(at, size // block * DESCRIPTOR_SIZE)
        if len(raw) != size // block * DESCRIPTOR_SIZE:
            return None
        return self._pages(list(_DESCRIPTOR.iter_unpack(raw)))

    def _pages(self, descriptors: list[tuple[int, int, int, int]]) -> list[bytes] | None:
        """The pages' data follow each other, but for those that share an earlier one's."""
        block = self._block
        last = max(offset + size for offset, size, _, _ in descriptors)
        most = len(descriptors) * block  # one that is compressed is no larger
        first = min((one[0] for one in descriptors if last - one[0] <= most), default=last)
        data = self._bytes.reader.read(first, last - first)
        pages: list[bytes] = []
        for offset, size, flags, _ in descriptors:
            if offset == self._shared[0]:
                pages.append(self._shared[1])
                continue
            at = offset - first
            piece = data[at : at + size] if at >= 0 else self._elsewhere(offset, size)
            if flags == _ZLIB:
                try:
                    page = zlib.decompress(piece, bufsize=block)
                except _INFLATE_ERROR:
                    return None
            elif flags == _PLAIN:
                page = piece
            else:
                return None
            if len(page) != block:
                return None
            if at < 0:
                self._shared = (offset, page)
            pages.append(page)
        return pages

    def _elsewhere(self, offset: int, size: int) -> bytes:
        return self._bytes.reader.read(offset, size)
