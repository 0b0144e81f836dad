"""Which container is this, and what do its own headers say? Nothing is decompressed here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kautopsy.dump.elf import read_elf
from kautopsy.dump.kdump import KdumpHeader, read_kdump
from kautopsy.dump.reader import DumpBytes
from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.errors import UnreadableError

NO_VMCOREINFO = "no VMCOREINFO: the producer did not know the kernel's"

# Files that people take for a dump, by their first bytes: what they are and what to do.
_LOOKALIKES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "is compressed with gzip", "gunzip it first"),
    (b"\xfd7zXZ\0", "is compressed with xz", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unzstd it first"),
    (b"BZh", "is compressed with bzip2", "bunzip2 it first"),
    (b"\x89LZO\0\r\n\x1a\n", "is compressed with lzop", "unpack it with lzop -d first"),
    (b"DISKDUMP", "is a diskdump of the 2.4 and 2.6.9 days", "only crash up to 7 reads it"),
    (b"PAGEDU64", "is a Windows memory dump", "use WinDbg"),
    (b"PAGEDUMP", "is a Windows memory dump", "use WinDbg"),
    (b"PK\x03\x04", "is a zip archive", "unpack it first"),
)


@dataclass(frozen=True)
class Headers:
    """A dump file's headers: the noun others see, and VMCOREINFO for rooms that look further.

    :param empty: the file ends before its first page
    :param stray: page descriptors or headers lead out of the file
    :param noteless: so do the notes of its CPUs
    """

    file: DumpFile
    vmcoreinfo: VmcoreInfo | None
    empty: bool = False
    stray: bool = False
    noteless: bool = False


def _machine(kdump: KdumpHeader) -> str | None:
    """QEMU writes ``Unknown`` for all but x86-64, and up to 7.2 nothing: VMCOREINFO knows."""
    if kdump.machine not in ("", "Unknown"):
        return kdump.machine
    return kdump.vmcoreinfo.machine if kdump.vmcoreinfo else None


def read_dump(path: Path) -> DumpFile:
    """What ``path``'s headers say.

    :raises UnreadableError: it is no dump, or cannot be read
    """
    return read_headers(path).file


def read_headers(path: Path) -> Headers:
    """As :func:`read_dump`, with VMCOREINFO."""
    with DumpBytes(path) as dump:
        if dump.file_size == 0:
            raise UnreadableError(
                "the file is empty",
                thing=str(path),
                slug="empty-file",
                hint="the capture failed before it wrote anything: look at its console",
            )
        problems: list[str] = []
        if dump.flattened and not dump.reader.ended:
            problems.append("the flattened stream has no end mark: the file is cut off")
        if (kdump := read_kdump(dump.reader)) is not None:
            info = kdump.vmcoreinfo
            problems += kdump.problems
            return Headers(
                DumpFile(
                    path=str(path),
                    format=DumpFormat.FLATTENED if dump.flattened else DumpFormat.KDUMP,
                    complete=kdump.complete and dump.reader.ended,
                    consistent=kdump.extent.consistent,
                    build_id=info.build_id if info else None,
                    release=(info.release if info else None) or kdump.release or None,
                    arch=_machine(kdump),
                    dump_level=kdump.dump_level,
                    compression=kdump.compression,
                    size_bytes=dump.file_size,
                    problems=tuple(problems),
                ),
                info,
                empty=kdump.extent.empty,
                stray=kdump.extent.stray or bool(kdump.astray),
                noteless=kdump.noteless,
            )
        if (elf := read_elf(dump.reader)) is not None and (elf.core or not elf.machine):
            info = elf.vmcoreinfo
            problems += elf.problems
            if info is None:
                problems.append(NO_VMCOREINFO)
            return Headers(
                DumpFile(
                    path=str(path),
                    format=DumpFormat.FLATTENED if dump.flattened else DumpFormat.ELF,
                    complete=elf.complete and dump.reader.ended,
                    build_id=info.build_id if info else None,
                    release=info.release if info else None,
                    arch=elf.machine,
                    size_bytes=dump.file_size,
                    problems=tuple(problems),
                ),
                info,
            )
        if elf is not None:
            raise UnreadableError(
                f"is an ELF file for {elf.machine}, but not a core dump",
                thing=str(path),
                slug="not-a-dump",
                hint="a vmlinux goes with --vmlinux; name the vmcore here",
            )
        if dump.flattened:
            raise UnreadableError(
                "is a flattened dump that ends before its headers",
                thing=str(path),
                slug="truncated",
            )
        start = dump.reader.read(0, 16)
        for magic, what, hint in _LOOKALIKES:
            if start.startswith(magic):
                raise UnreadableError(what, thing=str(path), slug="not-a-dump", hint=hint)
        raise UnreadableError(
            "is neither an ELF core nor a kdump-compressed dump",
            thing=str(path),
            slug="not-a-dump",
        )
