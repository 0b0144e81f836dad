"""Bytes → the regions of a log in which a crash may stand; all else is passed over.

One pass of a multi-pattern search (an Aho-Corasick automaton in Rust) over big chunks, so that a
log of many gigabytes without crashes costs about as much as reading it, and memory is flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from ahocorasick_rs import BytesAhoCorasick, Implementation

from kautopsy.oops.triggers import CONTINUING, LITERALS

CHUNK = 4 << 20
"""Bytes read at once."""

BEFORE = 16 << 10
"""Bytes of a region before its first trigger."""

AFTER = 48 << 10
"""Bytes without any trigger or frame after which a region is over."""

LARGEST = 16 << 20
"""Bytes of a region; a longer one is cut, at a line's end."""


@dataclass(frozen=True, slots=True)
class Region:
    """Whole lines of a log.

    :param first_line: number of the first, from 1
    :param adjoins: the region before ends where this one begins
    """

    data: bytes
    first_line: int
    adjoins: bool


@cache
def _automaton() -> BytesAhoCorasick:
    return BytesAhoCorasick([*LITERALS, *CONTINUING], implementation=Implementation.DFA)


def regions(
    stream: BinaryIO, *, on_progress: Callable[[int], None] | None = None
) -> Iterator[Region]:
    """The regions of ``stream`` around triggers, in order and without overlap."""
    automaton = _automaton()
    starters = len(LITERALS)
    held = b""  # not yet decided upon: the end of what was read
    held_line = 1  # number of its first line
    scanned = 0  # of held: the automaton has seen this much
    begin: int | None = None  # of a region that is open, in held
    last_hit = 0
    ended_at: int | None = None  # line after the last region
    read = 0
    while True:
        chunk = stream.read(CHUNK)
        read += len(chunk)
        if on_progress is not None:
            on_progress(read)
        final = not chunk
        held += chunk
        # a literal may lie across the border of two chunks
        start = max(0, scanned - 64)
        for index, _, end in automaton.find_matches_as_indexes(held[start:] if start else held):
            position = start + end
            if position <= scanned:
                continue
            if begin is not None and position - last_hit > AFTER:
                finish = _line_end(held, last_hit + AFTER)
                yield Region(held[begin:finish], held_line + held.count(b"\n", 0, begin), False)
                begin = None
                low = finish
            else:
                low = 0
            if begin is None:
                if index >= starters:
                    continue
                begin = _line_start(held, max(low, position - BEFORE), low)
            last_hit = position
        scanned = len(held)
        if begin is not None and (final or scanned - last_hit > AFTER or scanned - begin > LARGEST):
            limit = scanned if final or scanned - begin > LARGEST else last_hit + AFTER
            finish = scanned if final else _cut(held, limit)
            line = held_line + held.count(b"\n", 0, begin)
            yield Region(held[begin:finish], line, line == ended_at)
            ended_at = line + held.count(b"\n", begin, finish)
            goes_on = scanned - last_hit <= AFTER
            held_line = ended_at
            held = held[finish:]
            scanned = len(held)
            begin = 0 if goes_on and not final else None
            last_hit = 0
        elif begin is None:
            keep = max(0, scanned - BEFORE)
            keep = held.rfind(b"\n", 0, keep) + 1
            if keep == 0 and scanned > LARGEST:
                keep = scanned - BEFORE  # a line without end
            held_line += held.count(b"\n", 0, keep)
            held = held[keep:]
            scanned = len(held)
        if final:
            return


def _line_start(data: bytes, position: int, low: int) -> int:
    newline = data.rfind(b"\n", low, position)
    if newline >= 0:
        return newline + 1
    return low if position - low < 2 * BEFORE else position


def _line_end(data: bytes, position: int) -> int:
    newline = data.find(b"\n", position)
    return len(data) if newline < 0 else newline + 1


def _cut(data: bytes, limit: int) -> int:
    newline = data.rfind(b"\n", 0, limit)
    return newline + 1 if newline >= 0 else limit
