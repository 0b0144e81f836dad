"""What an ELF file with debugging information says of itself, read in milliseconds.

A vmlinux with DWARF is 400 MB to 1 GB, of which its identity is a few headers and one note:
``NT_GNU_BUILD_ID`` (owner ``GNU``, type 3), which vmlinux.lds.h puts into ``.notes``. Files from
``objcopy --only-keep-debug`` keep the program headers of the original but not its bytes, so notes
are read by section, and by program header only in a file without sections.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_NT_GNU_BUILD_ID = 3
_SHT_NOTE = 7
_SHT_NOBITS = 8
_SHN_XINDEX = 0xFFFF
_PT_NOTE = 4
_MAX_HEADERS = 1 << 16
_MAX_NOTES = 16 << 20
_MAX_RODATA = 64 << 20
_BANNER = re.compile(rb"Linux version ([!-~]{1,64}) \(")


@dataclass(frozen=True)
class ElfIdentity:
    """Which build a file is of, and whether it is worth opening.

    :param build_id: lower-case hex; None where the file has no such note
    :param has_dwarf: there is a ``.debug_info`` with bytes in it
    """

    build_id: str | None
    has_dwarf: bool


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    offset: int
    size: int


class _Elf:
    """The headers of one open file; raises ValueError or struct.error where they are damaged."""

    def __init__(self, file: BinaryIO) -> None:
        self.fd = file.fileno()
        ident = self.read(0, 64)
        order = {1: "<", 2: ">"}.get(ident[5] if len(ident) > 5 else 0)
        if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or order is None:
            raise ValueError("not ELF")
        self.order = order
        self.wide = ident[4] == 2
        fields = struct.unpack_from(
            order + ("HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"), ident, 16
        )
        self.phoff, self.shoff = fields[4], fields[5]
        self.phentsize, self.phnum, self.shentsize, self.shnum, self.shstrndx = fields[8:13]

    def read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self.fd, size, offset)
        except OverflowError as error:
            raise ValueError("offset out of range") from error

    def sections(self) -> list[_Section]:
        """All sections; none in a file stripped of them."""
        if not self.shoff:
            return []
        layout = struct.Struct(self.order + ("IIQQQQIIQQ" if self.wide else "IIIIIIIIII"))
        if self.shentsize < layout.size:
            raise ValueError("section headers too small")
        first = layout.unpack(self.read(self.shoff, layout.size))
        # Numbers that do not fit the ELF header stand in section 0 (gABI, "Special Sections").
        number = self.shnum or first[5]
        strings = first[6] if self.shstrndx == _SHN_XINDEX else self.shstrndx
        if not strings < number <= _MAX_HEADERS:
            raise ValueError("implausible number of sections")
        table = self.read(self.shoff, number * self.shentsize)
        raw = [layout.unpack_from(table, i * self.shentsize) for i in range(number)]
        names = self.read(raw[strings][4], min(raw[strings][5], _MAX_NOTES))
        return [
            _Section(
                name=names[fields[0] : names.find(b"\0", fields[0])].decode("latin-1"),
                kind=fields[1],
                offset=fields[4],
                size=fields[5],
            )
            for fields in raw
        ]

    def note_segments(self) -> Iterator[tuple[int, int]]:
        """Offset and size of each PT_NOTE."""
        layout = struct.Struct(self.order + ("IIQQQQQQ" if self.wide else "IIIIIIII"))
        for i in range(self.phnum if self.phentsize >= layout.size else 0):
            fields = layout.unpack(self.read(self.phoff + i * self.phentsize, layout.size))
            if fields[0] == _PT_NOTE:
                yield (fields[2], fields[5]) if self.wide else (fields[1], fields[4])

    def build_id(self, notes: bytes) -> str | None:
        """The first NT_GNU_BUILD_ID among ``notes``."""
        position = 0
        while position + 12 <= len(notes):
            namesz, descsz, kind = struct.unpack_from(self.order + "III", notes, position)
            desc = position + 12 + (namesz + 3 & ~3)
            if kind == _NT_GNU_BUILD_ID and notes[position + 12 : position + 16] == b"GNU\0":
                return notes[desc : desc + descsz].hex() or None
            position = desc + (descsz + 3 & ~3)
        return None


def identify(path: Path) -> ElfIdentity | None:
    """Who ``path`` is; None if it is no readable ELF file. Reads some tens of kilobytes."""
    try:
        with path.open("rb") as file:
            elf = _Elf(file)
            sections = elf.sections()
            if sections:
                places = [(s.offset, s.size) for s in sections if s.kind == _SHT_NOTE]
            else:
                places = list(elf.note_segments())
            found = (elf.build_id(elf.read(at, min(size, _MAX_NOTES))) for at, size in places)
            return ElfIdentity(
                build_id=next((build_id for build_id in found if build_id), None),
                has_dwarf=any(
                    s.name in (".debug_info", ".zdebug_info") and s.kind != _SHT_NOBITS and s.size
                    for s in sections
                ),
            )
    except (OSError, ValueError, struct.error):
        return None


def kernel_release(path: Path) -> str | None:
    """``uname -r`` of a vmlinux, from ``linux_banner`` in its ``.rodata`` (init/version.c).

    None where there is none: a debug file without the kernel's own bytes, or no kernel at all.
    """
    try:
        with path.open("rb") as file:
            elf = _Elf(file)
            for section in elf.sections():
                if section.name == ".rodata" and section.kind != _SHT_NOBITS:
                    data = elf.read(section.offset, min(section.size, _MAX_RODATA))
                    match = _BANNER.search(data)
                    return match[1].decode() if match else None
    except (OSError, ValueError, struct.error):
        pass
    return None
