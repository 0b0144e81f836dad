"""How far a kdump-compressed file reaches, by its own word, and whether its parts agree.

A file that ends within its headers, bitmaps or descriptors holds not one page. In one whose bitmap
and descriptors disagree every page after the damage is taken for another, and no reader notices:
the n-th bit that is set belongs to the n-th descriptor. A descriptor that leads beyond the end of
the file makes libkdumpfile, which maps it, die of SIGBUS, or take what is not there for zeros.

Blocks that were lost on the way, to a sparse copy or a disk, are zeros. No page that is compressed
is all of them, in any of the four ways: a look at a few thousand pages tells.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from kautopsy.dump.reader import DumpReader

PAGE_DESC = "qIIQ"
"""struct page_desc, for :mod:`struct`: s64 offset; u32 size, flags; u64 page_flags."""
DESCRIPTOR_SIZE = struct.calcsize("=" + PAGE_DESC)
_MOST = 4 << 20
"""How many descriptors are looked at: those of 16 GiB; of more, so many at each end."""
_CHUNK = 1 << 20
_SAMPLE = 4096
_COMPRESSED = 0x01 | 0x02 | 0x04 | 0x20
"""``DUMP_DH_COMPRESSED_``: zlib, lzo, snappy, zstd (makedumpfile's diskdump_mod.h)."""
_WORD = 8
"""Bytes that are looked at first."""


@dataclass(frozen=True)
class Extent:
    """What is wrong with the file's extent, if anything.

    :param problem: in words; '' if nothing is
    :param cut: it is shorter than it says
    :param empty: not one page can be read
    :param consistent: its bitmaps and descriptors agree
    :param stray: descriptors lead where no page's data can be
    """

    problem: str = ""
    cut: bool = False
    empty: bool = False
    consistent: bool = True
    stray: bool = False


@dataclass(frozen=True)
class Descriptors:
    """Where the page descriptors are.

    :param order: ``<`` or ``>``, of the producer
    :param block: bytes of a page
    :param start: offset of the first
    :param count: how many there are
    """

    order: str
    block: int
    start: int
    count: int

    @property
    def end(self) -> int:
        """Where they end and the pages' data begin."""
        return self.start + self.count * DESCRIPTOR_SIZE

    def read(self, reader: DumpReader, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Offset and size of the data of the pages from ``first`` on."""
        raw = reader.read(self.start + first * DESCRIPTOR_SIZE, count * DESCRIPTOR_SIZE)
        whole = raw[: len(raw) // DESCRIPTOR_SIZE * DESCRIPTOR_SIZE]
        for offset, size, _, _ in struct.iter_unpack(self.order + PAGE_DESC, whole):
            yield offset, size

    def is_stray(self, offset: int, size: int, end: int) -> bool:
        """Whether no page's data can be there, in a file of ``end`` bytes."""
        return not (self.end <= offset and 0 < size <= self.block and offset + size <= end)

    def hollow(self, reader: DumpReader) -> tuple[int, int]:
        """Pages whose data are zeros where they cannot be, and how many were looked at."""
        lost = seen = 0
        layout = struct.Struct(self.order + PAGE_DESC)
        for index in range(0, self.count, max(1, self.count // _SAMPLE)):
            raw = reader.read(self.start + index * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE)
            if len(raw) < DESCRIPTOR_SIZE:
                break
            offset, size, flags, _ = layout.unpack(raw)
            if flags & _COMPRESSED and not self.is_stray(offset, size, reader.size):
                seen += 1
                # A page of LZO's may begin with some zeros, but has its end mark.
                begins = reader.read(offset, min(size, _WORD))
                lost += not any(begins) and not any(reader.read(offset, size))
        return lost, seen

    def look(self, reader: DumpReader, first: int, count: int) -> bool:
        """Whether any of them is stray; quickly, for there are millions."""
        native = "<" if sys.byteorder == "little" else ">"
        for index in range(first, first + count, _CHUNK // DESCRIPTOR_SIZE):
            some = min(_CHUNK // DESCRIPTOR_SIZE, first + count - index)
            raw = reader.read(self.start + index * DESCRIPTOR_SIZE, some * DESCRIPTOR_SIZE)
            if self.order == native and len(raw) == some * DESCRIPTOR_SIZE:
                view = memoryview(raw)
                sizes, offsets = view.cast("I")[2::6].tolist(), view.cast("q")[::3].tolist()
                fine = min(sizes) > 0 and max(sizes) <= self.block and self.end <= min(offsets)
                last = reader.size - self.block  # what begins later may be of a page's end
                ends = (offset + size for offset, size in zip(offsets, sizes, strict=True))
                if fine and (max(offsets) <= last or max(ends) <= reader.size):
                    continue
            if any(self.is_stray(*one, reader.size) for one in self.read(reader, index, some)):
                return True
        return False


def extent(
    reader: DumpReader,
    order: str,
    *,
    block: int,
    bitmap_at: int,
    bitmap_size: int,
    max_mapnr: int,
) -> tuple[Extent, Descriptors | None]:
    """Compare what the file announces with what it has.

    :param order: ``<`` or ``>``, of the producer
    :param block: bytes of a page
    :param bitmap_at: where the bitmaps begin
    :param bitmap_size: bytes of all bitmaps; the descriptors follow
    :param max_mapnr: number of page frames
    """
    start = bitmap_at + bitmap_size
    if start > reader.size:
        problem = f"the file ends within its page bitmaps, at {reader.size} bytes of {start}"
        return Extent(problem, cut=True, empty=True), None
    pages, nested = _count(reader, bitmap_at, bitmap_size, max_mapnr)
    if not pages:
        return Extent("no page is in the dump", cut=True, empty=True), None
    table = Descriptors(order, block, start, pages)
    if table.end >= reader.size:
        problem = (
            f"the file ends within its page descriptors, at {reader.size} bytes: {pages} pages are "
            f"announced, whose descriptors end at {table.end}"
        )
        return Extent(problem, cut=True, empty=True), None
    some = min(pages, _MOST)
    at_the_end = min(pages - some, _MOST)
    stray = table.look(reader, 0, some) or table.look(reader, pages - at_the_end, at_the_end)
    if all(offset != table.end for offset, _ in table.read(reader, 0, min(pages, 4096))):
        problem = (
            f"its page bitmap and its page descriptors disagree: {pages} pages are announced, but "
            "no page's data follow so many descriptors"
        )
        return Extent(problem, consistent=False, stray=stray), table
    if not nested:
        problem = "its two page bitmaps contradict each other"
        return Extent(problem, consistent=False, stray=stray), table
    # Pages are written in the order of their frames, so the last descriptors point to the end of
    # the data; all-zero pages share one earlier copy, hence the look at many.
    some = min(pages, 4096)
    last = table.read(reader, pages - some, some)
    needed = max((offset + size for offset, size in last if size <= block), default=0)
    if needed > reader.size:
        problem = f"the file is cut off: {reader.size} bytes of at least {needed}"
        return Extent(problem, cut=True, stray=True), table
    lost, seen = table.hollow(reader)
    if lost:
        problem = (
            f"blocks of the file are lost: {lost} of {seen} pages looked at hold zeros where "
            "compressed data must be"
        )
        return Extent(problem, cut=True, stray=stray), table
    return Extent(stray=stray), table


def _count(reader: DumpReader, at: int, size: int, max_mapnr: int) -> tuple[int, bool]:
    """Pages in the dump, and whether all of them are among those that exist.

    The second bitmap says which frames are in the dump, the first which there are. A dump that
    leaves none out may have one only: libkdumpfile's diskdump.c tells by their size, and so do we.
    """
    exist_at = at
    if max_mapnr <= size * 8 // 2:
        size //= 2
        at += size
    pages = 0
    nested = True
    end = min(size, (max_mapnr + 7) // 8)
    for offset in range(0, end, _CHUNK):
        length = min(_CHUNK, end - offset)
        held = int.from_bytes(reader.read(at + offset, length), "little")
        exist = int.from_bytes(reader.read(exist_at + offset, length), "little")
        pages += held.bit_count()
        nested = nested and not held & ~exist
    return pages, nested
