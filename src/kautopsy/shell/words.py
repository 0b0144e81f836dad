"""Memory as words, as ``rd`` shows it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from drgn.helpers.linux.mm import access_process_vm

from kautopsy.shell.session import Session


def words_of(session: Session, address: int, size: int, *, user: bool = False) -> Iterator[str]:
    """``size`` bytes at ``address``, two words of 64 bits a line, with their characters."""
    rounded = (size + 7) & ~7
    if user:
        raw = access_process_vm(session.context, address, rounded)
    else:
        raw = session.program.read(address, rounded)
    for at in range(0, rounded, 16):
        part = raw[at : at + 16]
        words = " ".join(f"{word:016x}" for (word,) in struct.iter_unpack("<Q", part))
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{address + at:x}:  {words:<33}   {text}"
