"""The kdump-compressed container (makedumpfile's own, also written by QEMU).

Layout, in blocks of ``block_size`` bytes (makedumpfile's diskdump_mod.h and IMPLEMENTATION)::

    block 0      struct disk_dump_header
    block 1      struct kdump_sub_header, VMCOREINFO and ELF notes: sub_hdr_size blocks
    then         two bitmaps over page frames: those that exist, those that are in the dump
    then         struct page_desc for every page that is in the dump, then the pages' data
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kautopsy.dump.extent import Descriptors, Extent, extent
from kautopsy.dump.reader import DumpReader
from kautopsy.dump.vmcoreinfo import VmcoreInfo

SIGNATURE = b"KDUMP   "
OTHER_BLOCKS = "its blocks are not the kernel's pages"
"""How the problem begins that no reader of kdump files copes with."""

_COMPRESSED_ZLIB = 0x01
_COMPRESSED_LZO = 0x02
_COMPRESSED_SNAPPY = 0x04
_INCOMPLETE = 0x08
_EXCLUDED_VMEMMAP = 0x10
_COMPRESSED_ZSTD = 0x20

_COMPRESSIONS = {
    _COMPRESSED_ZLIB: "zlib",
    _COMPRESSED_LZO: "lzo",
    _COMPRESSED_SNAPPY: "snappy",
    _COMPRESSED_ZSTD: "zstd",
}

# char signature[8]; int header_version; struct new_utsname (6 × 65); pad; struct timeval;
# u32 status; s32 block_size; s32 sub_hdr_size; u32 bitmap_blocks, max_mapnr, total_ram_blocks,
# device_blocks, written_blocks, current_cpu; s32 nr_cpus — as a 64-bit producer lays it out.
_HEADER = "8si390s{pad}{timeval}IiiIIIIIIi"
# u64 phys_base; s32 dump_level, split; u64 start_pfn, end_pfn; s64 offset_vmcoreinfo;
# u64 size_vmcoreinfo; s64 offset_note; u64 size_note; s64 offset_eraseinfo; u64 size_eraseinfo;
# u64 start_pfn_64, end_pfn_64, max_mapnr_64
_SUB_HEADER = "QiiQQqQqQqQQQQ"
# What the second header leads to: in words, the field's number, and its offset in the header.
_NOTES = 48
_PARTS = (("VMCOREINFO", 5, 32), ("CPUs' notes", 7, _NOTES), ("record of what was erased", 9, 64))

_MAX_BLOCK_SIZE = 1 << 16


@dataclass(frozen=True)
class KdumpHeader:
    """What the two headers say, and what of the file is missing.

    :param extent: how far it reaches
    :param descriptors: of its pages; None if it ends before them
    :param astray: where in the file an offset and a size, of the second header, lead out of it
    :param noteless: those of the CPUs' notes do
    """

    release: str
    machine: str
    nodename: str
    version: str
    timestamp: int
    compression: str | None
    dump_level: int | None
    split: tuple[int, int] | None
    vmcoreinfo: VmcoreInfo | None
    problems: tuple[str, ...]
    complete: bool
    extent: Extent
    descriptors: Descriptors | None
    astray: tuple[int, ...] = ()
    noteless: bool = False


def read_kdump(reader: DumpReader) -> KdumpHeader | None:
    """Read the headers, or None if this is no kdump-compressed dump."""
    raw = reader.read(0, 512)
    if raw[:8] != SIGNATURE:
        return None
    # Byte order and word size are the producer's; block_size is the field that betrays them.
    for order in "<>":
        for pad, timeval in (("6x", "qq"), ("2x", "ii")):
            layout = struct.Struct(order + _HEADER.format(pad=pad, timeval=timeval))
            if len(raw) < layout.size:
                continue
            fields = layout.unpack_from(raw)
            block_size = fields[6]
            if 512 <= block_size <= _MAX_BLOCK_SIZE and block_size & (block_size - 1) == 0:
                return _read(reader, order, fields)
    return KdumpHeader(
        release="",
        machine="",
        nodename="",
        version="",
        timestamp=0,
        compression=None,
        dump_level=None,
        split=None,
        vmcoreinfo=None,
        problems=("the dump's header is damaged",),
        complete=False,
        extent=Extent(cut=True, empty=True),
        descriptors=None,
    )


def _read(reader: DumpReader, order: str, fields: tuple[int | bytes, ...]) -> KdumpHeader:
    header_version = _int(fields[1])
    uname = fields[2]
    assert isinstance(uname, bytes)
    words = [
        uname[i : i + 65].split(b"\0")[0].decode("utf-8", "replace") for i in range(0, 390, 65)
    ]
    status, block_size, sub_blocks, bitmap_blocks, max_mapnr = (_int(f) for f in fields[5:10])
    problems: list[str] = []
    if status & _INCOMPLETE:
        problems.append(
            "the header is flagged incomplete: makedumpfile could not write all pages"
            " (was the target full?)"
        )
    if status & _EXCLUDED_VMEMMAP:
        problems.append("page structures (vmemmap) were excluded")

    sub_layout = struct.Struct(order + _SUB_HEADER)
    sub_raw = reader.read(block_size, sub_layout.size)
    sub = sub_layout.unpack(sub_raw) if len(sub_raw) == sub_layout.size else (0,) * 14
    if len(sub_raw) < sub_layout.size:
        problems.append("the file ends within its headers")
    dump_level = sub[1] if header_version >= 1 and 0 <= sub[1] <= 31 else None
    split = None
    if header_version >= 2 and sub[2] == 1:
        split = (sub[11], sub[12]) if header_version >= 6 else (sub[3], sub[4])
        problems.append(f"one part of a split dump: page frames {split[0]:#x} to {split[1]:#x}")
    astray: list[int] = []
    for what, field, at in _PARTS:
        offset, size = sub[field : field + 2]
        if size and not (offset > 0 and offset + size <= reader.size):
            problems.append(f"by the header its {what} would be beyond the end of the file")
            astray.append(at)
    info = None
    if header_version >= 3 and 0 < sub[6] <= 1 << 20:
        raw = reader.read(sub[5], sub[6])
        info = VmcoreInfo.decode(raw)
        if info.page_size not in (None, block_size):
            # QEMU counts in blocks of the largest page an architecture has: 64 KiB on aarch64.
            problems.append(
                f"{OTHER_BLOCKS}: {block_size:,} bytes, where the kernel's pages have"
                f" {info.page_size:,}"
            )
    if header_version >= 6 and sub[13]:
        max_mapnr = sub[13]

    found, descriptors = Extent(cut=True, empty=True), None
    if len(sub_raw) == sub_layout.size and sub_blocks > 0:
        found, descriptors = extent(
            reader,
            order,
            block=block_size,
            bitmap_at=(1 + sub_blocks) * block_size,
            bitmap_size=bitmap_blocks * block_size,
            max_mapnr=max_mapnr,
        )
    if found.problem:
        problems.append(found.problem)
    return KdumpHeader(
        release=words[2],
        machine=words[4],
        nodename=words[1],
        version=words[3],
        timestamp=_int(fields[3]),
        compression=next((name for bit, name in _COMPRESSIONS.items() if status & bit), None),
        dump_level=dump_level,
        split=split,
        vmcoreinfo=info,
        problems=tuple(problems),
        complete=not (found.cut or astray or status & _INCOMPLETE or split is not None),
        extent=found,
        descriptors=descriptors,
        astray=tuple(block_size + at for at in astray),
        noteless=_NOTES in astray,
    )


def _int(value: int | bytes) -> int:
    assert isinstance(value, int)
    return value
