from __future__ import annotations

import struct
from pathlib import Path

from kautopsy.model.report import SymbolSource
from kautopsy.symbols.ladder import open_program
from kautopsy.symbols.raw_stack import raw_stacks

INFO = b"""OSRELEASE=6.1.0-arm64
BUILD-ID=abababababababababababababababababababab
PAGESIZE=4096
SYMBOL(_stext)=ffff800008010000
SYMBOL(swapper_pg_dir)=ffff800009000000
NUMBER(VA_BITS)=48
NUMBER(kimage_voffset)=0xffff7fffc8000000
NUMBER(PHYS_OFFSET)=0x40000000
KERNELOFFSET=0
"""


def test_another_architecture_is_named_and_no_crash(tmp_path: Path) -> None:
    """A header of an AArch64 core (EM_AARCH64, 183) with one page that holds no tables."""
    note = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO
    note += b"\0" * (-len(note) % 8)
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    at = 64 + 2 * 56
    header += struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note), len(note), 4)
    header += struct.pack(
        "<IIQQQQQQ", 1, 7, at + len(note), 0xFFFF000000000000, 0x40000000, 4096, 4096, 0
    )
    path = tmp_path / "vmcore"
    path.write_bytes(header + note + bytes(4096))
    opened = open_program(path, debuginfo=False)
    assert opened.dump.arch == "aarch64"
    assert opened.symbols.source is SymbolSource.NONE
    assert "no symbol table" in opened.symbols.notes[0]
    assert raw_stacks(opened.program) == []
