"""Dumps and consoles, written down by hand."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tests.dump.test_header import write_kdump


def flatten(dump: bytes) -> bytes:
    """``dump`` as makedumpfile -F writes it: a header, records, and the end mark."""
    header = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    records = b"".join(
        struct.pack(">qq", at, len(dump[at : at + 65536])) + dump[at : at + 65536]
        for at in range(0, len(dump), 65536)
    )
    return header.ljust(4096, b"\0") + records + struct.pack(">qq", -1, -1)


def small_dump(folder: Path) -> bytes:
    """A flattened dump of the kernel that runs here, a few pages long."""
    return flatten(write_kdump(folder / "small", os.uname().release).read_bytes())
