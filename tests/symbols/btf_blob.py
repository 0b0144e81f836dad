"""Write BTF by hand, as Documentation/bpf/btf.rst describes it."""

from __future__ import annotations

import struct


class BtfBlob:
    def __init__(self, first_id: int = 1, first_string: int = 0) -> None:
        self.first_string = first_string
        self.types = b""
        self.strings = b"\0" if not first_string else b""
        self.next_id = first_id

    def string(self, text: str) -> int:
        if not text:
            return 0
        known = self.strings.find(b"\0" + text.encode() + b"\0")
        if known >= 0:  # pahole keeps a string once
            return self.first_string + known + 1
        at = self.first_string + len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(
        self,
        kind: int,
        name: str = "",
        third: int = 0,
        rest: tuple[int, ...] = (),
        vlen: int = 0,
        flag: int = 0,
    ) -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack(f"<III{len(rest)}I", self.string(name), info, third, *rest)
        self.next_id += 1
        return self.next_id - 1

    def structure(
        self,
        name: str,
        size: int,
        *members: tuple[str, int, int],
        flag: int = 0,
        kind: int = 4,
    ) -> int:
        rest = tuple(
            word
            for text, type_id, offset in members
            for word in (self.string(text), type_id, offset)
        )
        return self.add(kind, name, size, rest, len(members), flag)

    def bytes(self) -> bytes:
        header = struct.pack(
            "<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings)
        )
        return header + self.types + self.strings
