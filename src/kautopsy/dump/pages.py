"""Which physical memory a dump holds: the second bitmap of a kdump, the segments of an ELF file."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kautopsy.dump.reader import DumpBytes, DumpReader
from kautopsy.model.errors import UnreadableError

_KDUMP = b"KDUMP   "
_ELF = b"\x7fELF"
# struct disk_dump_header: signature, header_version, six strings of 65 bytes, padding to a timeval,
# then status, block_size, sub_hdr_size, bitmap_blocks (diskdump_mod.h of crash).
_FIELDS_AT = (
    8 + 4 + 6 * 65 + 6 + 16,  # 64-bit: padded to 8, struct timeval of 16 bytes
    8 + 4 + 6 * 65 + 2 + 8,  # 32-bit
)
_BLOCKS = (4096, 8192, 16384, 65536)
_MOST_BITMAP = 1 << 30


@dataclass(frozen=True)
class Geometry:
    """Where a kdump-compressed file has what.

    :param block: bytes of a page
    :param bitmap: offset of the second bitmap: the pages that are in the file
    :param half: bytes of each of the two bitmaps
    """

    block: int
    bitmap: int
    half: int

    @property
    def descriptors(self) -> int:
        """Offset of the page descriptors."""
        return self.bitmap + self.half


def held_ranges(path: Path) -> list[tuple[int, int]]:
    """Physical ranges ``[start, end)`` whose pages are in the dump at ``path``, in order.

    :raises UnreadableError: its headers say nothing of the kind
    """
    with DumpBytes(path) as dump:
        reader = dump.reader
        start = reader.read(0, 64)
        if start.startswith(_KDUMP):
            return list(ranges_of_bitmap(reader, geometry(reader, path)))
        if start.startswith(_ELF):
            return sorted(_of_segments(reader, start))
    raise UnreadableError("does not say which pages it holds", thing=str(path))


def ranges_of_bitmap(reader: DumpReader, found: Geometry) -> Iterator[tuple[int, int]]:
    """As :func:`held_ranges`, of the kdump-compressed file whose geometry was ``found``."""
    bitmap = reader.read(found.bitmap, found.half)
    yield from ((low * found.block, high * found.block) for low, high in runs(bitmap))


def geometry(reader: DumpReader, path: Path) -> Geometry:
    """Of the kdump-compressed file ``path``.

    :raises UnreadableError: it is none, or its header is damaged
    """
    if reader.read(0, len(_KDUMP)) != _KDUMP:
        raise UnreadableError("is no kdump-compressed file", thing=str(path))
    for at in _FIELDS_AT:
        raw = reader.read(at, 16)
        if len(raw) < 16:
            break
        _status, block, sub_blocks, bitmap_blocks = struct.unpack("<4i", raw)
        if block in _BLOCKS and 0 <= sub_blocks < 1 << 16 and bitmap_blocks > 0:
            half = bitmap_blocks * block // 2
            if half > _MOST_BITMAP:
                raise UnreadableError("its page bitmaps are impossibly large", thing=str(path))
            return Geometry(block, (1 + sub_blocks) * block + half, half)
    raise UnreadableError("its header makes no sense", thing=str(path))


def runs(bitmap: bytes) -> Iterator[tuple[int, int]]:
    """Runs ``[first, last + 1)`` of bits that are set, lowest bit of each byte first."""
    begun: int | None = None
    # Whole bytes of zeros and ones are skipped at once: most of a bitmap is one or the other.
    for match in re.finditer(rb"\x00+|\xff+|[^\x00\xff]", bitmap, re.DOTALL):
        first = match.start() * 8
        byte = bitmap[match.start()]
        if byte == 0xFF:
            begun = first if begun is None else begun
            continue
        if byte == 0:
            if begun is not None:
                yield begun, first
                begun = None
            continue
        for bit in range(8):
            if byte >> bit & 1:
                begun = first + bit if begun is None else begun
            elif begun is not None:
                yield begun, first + bit
                begun = None
    if begun is not None:
        yield begun, len(bitmap) * 8


def _of_segments(reader: DumpReader, start: bytes) -> Iterator[tuple[int, int]]:
    if start[4] != 2 or start[5] not in (1, 2):
        raise UnreadableError("only 64-bit ELF dumps list their pages")
    order = "<" if start[5] == 1 else ">"
    (phoff,) = struct.unpack_from(order + "Q", start, 32)
    phentsize, phnum = struct.unpack_from(order + "HH", start, 54)
    if phnum == 0xFFFF:
        (shoff,) = struct.unpack_from(order + "Q", start, 40)
        (phnum,) = struct.unpack(order + "I", reader.read(shoff + 44, 4))
    table = reader.read(phoff, phentsize * phnum)
    for at in range(0, len(table) - 55, phentsize):
        kind, _flags, _offset, _virtual, physical, size = struct.unpack_from(
            order + "IIQQQQ", table, at
        )
        if kind == 1 and size:
            yield physical, physical + size
