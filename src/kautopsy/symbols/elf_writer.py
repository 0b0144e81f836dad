"""A small ELF file with debugging sections, for libdrgn to read."""

from __future__ import annotations

import struct

_NOTE, _PROGBITS, _STRTAB = 7, 1, 3
_ALLOC = 2
_EXECUTABLE, _X86_64 = 2, 62


def elf(build_id: bytes, sections: dict[str, bytes]) -> bytes:
    """An x86-64 executable of nothing but a build-id and ``sections``, which are not loaded."""
    note = struct.pack("<III4s", 4, len(build_id), 3, b"GNU\0") + build_id
    note += b"\0" * (-len(note) % 4)
    contents = [
        ("", 0, b""),
        (".note.gnu.build-id", _NOTE, note),
        *((name, _PROGBITS, content) for name, content in sections.items()),
    ]
    names = b"\0".join(name.encode() for name, _, _ in contents) + b"\0.shstrtab\0"
    contents.append((".shstrtab", _STRTAB, names))
    data = bytearray()
    headers = b""
    for name, kind, content in contents:
        data += b"\0" * (-len(data) % 8)
        headers += struct.pack(
            "<IIQQQQIIQQ",
            names.index(name.encode() + b"\0"), kind, _ALLOC if kind == _NOTE else 0, 0,
            64 + len(data) if kind else 0, len(content), 0, 0, 4 if kind else 0, 0,
        )  # fmt: skip
        data += content
    data += b"\0" * (-len(data) % 8)
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        ident, _EXECUTABLE, _X86_64, 1, 0, 0, 64 + len(data), 0, 64, 0, 0, 64,
        len(contents), len(contents) - 1,
    )  # fmt: skip
    return header + bytes(data) + headers


EMPTY_UNIT = {
    # 1: DW_TAG_compile_unit without children or attributes; one unit of DWARF 4 that is one.
    ".debug_abbrev": bytes([1, 0x11, 0, 0, 0, 0]),
    ".debug_info": struct.pack("<IHIBB", 8, 4, 0, 8, 1),
}
"""What libdrgn wants to see before it takes a file for debugging information."""


def uleb(value: int) -> bytes:
    """``value`` as DWARF's ULEB128."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)
