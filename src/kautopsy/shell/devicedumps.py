"""What device drivers left in a dump: ELF notes of type NT_VMCOREDD (since 4.18, 7efe48df8a3d)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kautopsy.kernel.reading import text
from kautopsy.model.dump import DumpFile

_NT_VMCOREDD = 0x700
_PT_NOTE = 4
_NAME = 44
"""``VMCOREDD_MAX_NAME_BYTES`` (include/uapi/linux/vmcore.h)."""


@dataclass(frozen=True)
class DeviceDump:
    """One driver's dump.

    :param offset: of its data in the file, bytes
    """

    name: str
    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Its data."""
        with open(self.path, "rb") as file:  # noqa: PTH123 - the path is text in the model
            file.seek(self.offset)
            return file.read(self.size)


def device_dumps(dump: DumpFile) -> list[DeviceDump]:
    """The device dumps of an ELF dump; the other formats keep none."""
    return list(_notes(dump.path))


def _notes(path: str) -> Iterator[DeviceDump]:
    with open(path, "rb") as file:  # noqa: PTH123 - the path is text in the model
        ident = file.read(64)
        if ident[:6] != b"\x7fELF\x02\x01":
            return
        (phoff,) = struct.unpack_from("<Q", ident, 32)
        phentsize, phnum = struct.unpack_from("<HH", ident, 54)
        file.seek(phoff)
        table = file.read(phentsize * phnum)
        for at in range(0, len(table) - 55, phentsize):
            kind, _flags, offset, _virtual, _physical, size = struct.unpack_from(
                "<IIQQQQ", table, at
            )
            position, end = offset, offset + size
            while kind == _PT_NOTE and position + 12 <= end:
                file.seek(position)
                namesz, descsz, what = struct.unpack("<III", file.read(12))
                name = file.read(namesz).rstrip(b"\0")
                data = position + 12 + (namesz + 3 & ~3)
                if what == _NT_VMCOREDD and name == b"LINUX" and descsz > _NAME:
                    file.seek(data)
                    label = file.read(_NAME).partition(b"\0")[0]
                    yield DeviceDump(text(label), path, data + _NAME, descsz - _NAME)
                position = data + (descsz + 3 & ~3)
