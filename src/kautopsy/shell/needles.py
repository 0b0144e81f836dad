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
                    not self._mask or int.from_bytes(value, "little") & kept == wanted
                ):
                    yield at
                at += size
            found = after(raw, at)

    def _next(self, needle: Needle) -> Callable[[bytes, int], int]:
        """What tells where ``needle`` may begin next, from an offset on; -1 for nowhere.

        The longest run of bytes that the mask leaves whole is looked for: bytes.find() passes over
        gigabytes in a second, a pattern with unknown bytes in front over a tenth of it.
        """
        raw = needle.raw
        if not self._mask:
            return lambda memory, at: memory.find(raw, at)
        ignored = self._mask.to_bytes(self._size, "little")
        runs = [found.span() for found in re.finditer(rb"\x00+", ignored)]
        if not runs:
            pattern = re.compile(_classes(raw, ignored), re.DOTALL)

            def matched(memory: bytes, at: int) -> int:
                found = pattern.search(memory, at)
                return found.start() if found is not None else -1

            return matched
        before, end = max(runs, key=lambda run: run[1] - run[0])
        anchor = raw[before:end]

        def anchored(memory: bytes, at: int) -> int:
            found = memory.find(anchor, at + before)
            return found - before if found >= 0 else -1

        return anchored


def _classes(needle: bytes, mask: bytes) -> bytes:
    """A pattern of bytes that ignores the bits of ``mask``."""
    parts: list[bytes] = []
    for wanted, ignored in zip(needle, mask, strict=True):
        allowed = (value for value in range(256) if not (value ^ wanted) & ~ignored & 0xFF)
        parts.append(b"[" + b"".join(b"\\x%02x" % value for value in allowed) + b"]")
    return b"".join(parts)
