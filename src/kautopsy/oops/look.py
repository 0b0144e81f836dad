"""A look at one line: its frames, what it may be, and which report it begins.

Most lines of a report are frames in the kernel's own plain form, and the same ones stand in many
reports: they are told by one pattern and remembered. For every other line one pass of a
multi-pattern search says which patterns are worth trying at all.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from ahocorasick_rs import AhoCorasick, Implementation

from kautopsy.oops.families import FAMILIES, Family
from kautopsy.oops.frames import frame_alone, frames_in
from kautopsy.oops.sight import DYING, END, FAMILY, FRAME, INNOCENT, LITERAL, WORDS, Sight
from kautopsy.oops.triggers import LITERALS, NOT_CRASHES, NOT_CRASHES_WORDS

REMEMBERED = 4096
"""Lines whose sight is kept, none longer than :data:`SHORT`: some megabytes at most."""
SHORT = 120


@cache
def _automaton() -> tuple[AhoCorasick, list[int]]:
    words = [(word, cue) for cue, some in WORDS.items() for word in some]
    words += [(literal.decode().strip(), LITERAL) for literal in LITERALS]
    words += [(word, INNOCENT) for word in NOT_CRASHES_WORDS]
    words += [(word, FAMILY << n) for n, family in enumerate(FAMILIES) for word in family.words]
    meanings: dict[str, int] = {}
    for word, bit in words:
        meanings[word] = meanings.get(word, 0) | bit
    found = AhoCorasick(list(meanings), implementation=Implementation.DFA)
    return found, list(meanings.values())


def look(text: str) -> Sight:
    """What ``text``, a line without its prefix, shows."""
    return _remembered(text) if len(text) <= SHORT else _look(text)


def _look(text: str) -> Sight:
    frame = frame_alone(text)
    if frame is not None and frame.function not in DYING:
        return Sight((frame,), True)
    automaton, meanings = _automaton()
    cues = 0
    for index, _, _ in automaton.find_matches_as_indexes(text, overlapping=True):
        cues |= meanings[index]
    if frame is not None:
        return Sight((frame,), True, cues)
    if text[:1] in ("=", "<"):  # a rule ends a report, as Xen's `<<<<<` does
        cues |= END
    # ` #8 [ffff88003c33dd60] page_fault at ffffffff8152aaf5` is crash(8)'s
    frames = tuple(frames_in(text)) if cues & FRAME or "#" in text else ()
    return Sight(frames, False, cues)


_remembered = lru_cache(maxsize=REMEMBERED)(_look)


@lru_cache(maxsize=1024)
def _families(bits: int) -> tuple[Family, ...]:
    return tuple(family for n, family in enumerate(FAMILIES) if bits & FAMILY << n)


def recognise(text: str, seen: Sight) -> tuple[Family, re.Match[str]] | None:
    """The family of reports that a line begins, None if it begins none."""
    cues = seen.cues
    if cues < FAMILY or not cues & LITERAL:
        return None
    if cues & INNOCENT and NOT_CRASHES.search(text):
        return None
    for family in _families(cues & -FAMILY):
        match = family.pattern.search(text)
        if match is not None:
            return None if '"' in text and _is_quoted(text, family) else (family, match)
    return None


def _is_quoted(text: str, family: Family) -> bool:
    """Whether the kernel only repeats the words: an option, a name that somebody gave it."""
    at = min(text.find(word) for word in family.words if word in text)
    return text.count('"', 0, at) % 2 == 1
