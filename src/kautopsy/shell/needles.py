"""What ``search`` looks for, and where in a piece of memory it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Hit = tuple[int, str]
"""Offset in the piece, and the label of the needle."""


@dataclass(frozen=True)
class Needle:
    """A value or a string.

    :param raw: its bytes as they lie in memory, little-endian
    :param label: what is shown behind a hit: the symbol or expression it was given as
    """

    raw: bytes
    label: str = ""


class Finder:
    """Looks for ``needles`` at multiples of their size.

    :param mask: bits to ignore, as in the value
    :param size: bytes of a value; 1 for strings, which may begin anywhere
    """

    def __init__(self, needles: Sequence[Needle], mask: int, size: int) -> None:
        self._mask, self._size = mask, size
        self._needles = [(one, self._next(one)) for one in needles]

    def __call__(self, raw: bytes) -> list[Hit]:
        """All hits, in order."""
        hits: list[Hit] = []
        for needle, after in self._needles:
            # Most memory holds no needle, and must cost one look and nothing else.
            first = after(raw, 0)
            if first >= 0:
                hits += ((at, needle.label) for at in self._hits(raw, needle, after, first))
        if len(self._needles) > 1:
            hits.sort(key=lambda hit: hit[0])
        return hits

    def _hits(
        self, raw: bytes, needle: Needle, after: Callable[[bytes, int], int], found: int
    ) -> Iterator[int]:
        size, kept = self._size, ~self._mask
        wanted = int.from_bytes(needle.raw, "little") & kept
        while found >= 0:
            # Nothing begins, aligned, before the next multiple.
            at = found + (-found % size)
            if at == found:
                value = raw[at : at + len(needle.raw)]
                if len(value) == len(needle.raw) and (
                    int.from_bytes(value, "little") & kept == wanted
                ):
                    yield at
                at += size
            found = after(raw, at)

    def _next(self, needle: Needle) -> Callable[[bytes, int], int]:
        """What tells where ``needle`` may begin next, from an offset on; -1 for nowhere.

        The longest run of bytes that the mask leaves whole is looked for, from its first byte on
        that is not as common as 0 and 0xff are. A pattern of plain bytes passes over two gigabytes
        in a second whatever they are; bytes.find() over 300 megabytes, if its last one is common.
        """
        ignored = self._mask.to_bytes(self._size, "little") if self._size > 1 else b""
        runs = [found.span() for found in re.finditer(rb"\x00+", ignored)]
        before, end = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
        if self._size == 1:
            pattern = re.escape(needle.raw)
        elif not runs:
            pattern = _classes(needle.raw, ignored)
        else:
            anchor = needle.raw[before:end]
            rare = anchor.lstrip(b"\x00\xff") or anchor
            before += len(anchor) - len(rare)
            pattern = re.escape(rare)
        search = re.compile(pattern, re.DOTALL).search

        def after(memory: bytes, at: int) -> int:
            found = search(memory, at + before)
            return found.start() - before if found is not None else -1

        return after


def _classes(needle: bytes, mask: bytes) -> bytes:
    """A pattern of bytes that ignores the bits of ``mask``."""
    parts: list[bytes] = []
    for wanted, ignored in zip(needle, mask, strict=True):
        allowed = (value for value in range(256) if not (value ^ wanted) & ~ignored & 0xFF)
        parts.append(b"[" + b"".join(b"\\x%02x" % value for value in allowed) + b"]")
    return b"".join(parts)
