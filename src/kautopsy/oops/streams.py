"""A log's bytes as they were written → its text: rotated ones are packed, Windows' are UTF-16.

``logrotate`` leaves ``messages-20240101.gz`` (or .xz, .bz2, .zst); PowerShell's ``wsl dmesg >
file`` writes UTF-16 with a byte order mark.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from typing import IO, BinaryIO, cast

from kautopsy.model.errors import UnreadableError

_MAGIC = 6
_PIECE = 64 << 10
_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZSTD = b"\x28\xb5\x2f\xfd"


def plain(stream: BinaryIO) -> BinaryIO:
    """``stream`` itself, or what is packed or written in UTF-16 in it; only its ``read`` is used.

    :raises UnreadableError: it is packed in a way that this cannot undo
    """
    head = stream.read(_MAGIC)
    whole = cast("IO[bytes]", _Again(head, stream))
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", _Unpacked(gzip.GzipFile(fileobj=whole)))
    if head.startswith(b"\xfd7zXZ\0"):
        return cast("BinaryIO", _Unpacked(lzma.LZMAFile(whole)))
    if head.startswith(b"BZh"):
        return cast("BinaryIO", _Unpacked(bz2.BZ2File(whole)))
    if head.startswith(_ZSTD):
        raise UnreadableError(
            "packed with zstd", slug="packed", hint="unpack it: zstdcat FILE | kautopsy oops"
        )
    if head.startswith(_ORDER_MARKS):
        return cast("BinaryIO", _Recoded(whole))
    return cast("BinaryIO", whole)


class _Again:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._stream.read(size)
        if 0 <= size < len(self._head):
            data, self._head = self._head[:size], self._head[size:]
            return data
        data, self._head = self._head, b""
        return data + self._stream.read(size - len(data) if size >= 0 else -1)


class _Unpacked:
    """What is packed in a stream, as far as it goes: a log that is cut off is a log."""

    def __init__(self, packed: gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File) -> None:
        self._packed = packed
        self._over = False

    def read(self, size: int = -1) -> bytes:
        pieces: list[bytes] = []
        count = 0
        while not self._over and (size < 0 or count < size):
            try:
                piece = self._packed.read(min(_PIECE, size - count) if size >= 0 else _PIECE)
            except (EOFError, OSError, lzma.LZMAError, zlib.error):
                piece = b""
            self._over = not piece
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)


class _Recoded:
    """UTF-16 as UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")

    def read(self, size: int = -1) -> bytes:
        while True:
            data = self._stream.read(size)
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode("utf-8", "replace")
