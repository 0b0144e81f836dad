"""ELF core dumps: a copy of /proc/vmcore, ``makedumpfile -E``, QEMU's dump-guest-memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kautopsy.dump.reader import DumpReader
from kautopsy.dump.vmcoreinfo import VmcoreInfo

MAGIC = b"\x7fELF"
_ET_CORE = 4
_PT_LOAD = 1
_PT_NOTE = 4
# makedumpfile sets it where it ran out of space (DUMP_ELF_INCOMPLETE, makedumpfile.h).
_INCOMPLETE = 0x1
_MAX_NOTES = 64 << 20

# e_machine (elf.h) → what `uname -m` says, by word size and byte order where that matters.
_MACHINES: dict[tuple[int, int, str], str] = {
    (3, 1, "<"): "i686",
    (20, 1, ">"): "ppc",
    (21, 2, ">"): "ppc64",
    (21, 2, "<"): "ppc64le",
    (22, 2, ">"): "s390x",
    (40, 1, "<"): "armv7l",
    (62, 2, "<"): "x86_64",
    (183, 2, "<"): "aarch64",
    (243, 2, "<"): "riscv64",
    (258, 2, "<"): "loongarch64",
}


@dataclass(frozen=True)
class ElfHeader:
    """What an ELF core's headers say, and what of the file is missing."""

    core: bool
    machine: str | None
    vmcoreinfo: VmcoreInfo | None
    problems: tuple[str, ...]
    complete: bool


def read_elf(reader: DumpReader) -> ElfHeader | None:
    """Read the headers, or None if this is no ELF file."""
    ident = reader.read(0, 64)
    if ident[:4] != MAGIC or len(ident) < 52:
        return None
    bits = ident[4]
    order = {1: "<", 2: ">"}.get(ident[5])
    if order is None or bits not in (1, 2):
        return ElfHeader(False, None, None, ("the ELF header is damaged",), False)
    layout = struct.Struct(order + ("HHIIIIIHHHHHH" if bits == 1 else "HHIQQQIHHHHHH"))
    if len(ident) < 16 + layout.size:
        return ElfHeader(False, None, None, ("the file ends within its ELF header",), False)
    (kind, machine, _version, _entry, phoff, shoff, flags, _ehsize, phentsize, phnum, _, _, _) = (
        layout.unpack_from(ident, 16)
    )
    name = _MACHINES.get((machine, bits, order), f"e_machine {machine}")
    if kind != _ET_CORE:
        return ElfHeader(False, name, None, (), False)
    if phnum == 0xFFFF:
        # PN_XNUM: the real number is in sh_info of section 0.
        info_at = 28 if bits == 1 else 44
        raw = reader.read(shoff + info_at, 4)
        phnum = struct.unpack(order + "I", raw)[0] if len(raw) == 4 else 0

    problems: list[str] = []
    if flags & _INCOMPLETE:
        problems.append("the header is flagged incomplete: the producer could not write all pages")
    ph_layout = struct.Struct(order + ("IIIIIIII" if bits == 1 else "IIQQQQQQ"))
    end = 0
    notes: list[bytes] = []
    cut = False
    table = reader.read(phoff, min(phnum, 1 << 20) * phentsize) if phentsize else b""
    if len(table) < phnum * phentsize or phentsize < ph_layout.size:
        problems.append("the file ends within its program headers")
        cut = True
    else:
        for i in range(phnum):
            header = ph_layout.unpack_from(table, i * phentsize)
            offset, size = (header[1], header[4]) if bits == 1 else (header[2], header[5])
            if header[0] in (_PT_LOAD, _PT_NOTE):
                end = max(end, offset + size)
            if header[0] == _PT_NOTE and size <= _MAX_NOTES:
                notes.append(reader.read(offset, size))
    if end > reader.size:
        problems.append(f"the file is cut off: {reader.size} bytes of {end}")
        cut = True
    found = (_find_vmcoreinfo(raw, order) for raw in notes)
    return ElfHeader(
        core=True,
        machine=name,
        vmcoreinfo=next((info for info in found if info is not None), None),
        problems=tuple(problems),
        complete=not cut and not flags & _INCOMPLETE,
    )


def _find_vmcoreinfo(notes: bytes, order: str) -> VmcoreInfo | None:
    position = 0
    while position + 12 <= len(notes):
        namesz, descsz, _kind = struct.unpack_from(order + "III", notes, position)
        position += 12
        name = notes[position : position + namesz].rstrip(b"\0")
        position += (namesz + 3) & ~3
        if name == b"VMCOREINFO":
            return VmcoreInfo.decode(notes[position : position + descsz])
        position += (descsz + 3) & ~3
    return None
