"""Which family of reports a line begins.

One pass of a multi-pattern search over the words of all families says which patterns are worth
trying; most lines hold a word of none.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from ahocorasick_rs import AhoCorasick, Implementation

from kautopsy.oops.families import FAMILIES, Family
from kautopsy.oops.triggers import LITERALS, NOT_CRASHES, NOT_CRASHES_WORDS

_LITERAL = 1
"""Bits of a line: it holds what the fast scan looks for, words of no crash, a family's word."""
_INNOCENT = 2
_FAMILY = 4


@cache
def _automaton() -> tuple[AhoCorasick, list[int]]:
    words = [(literal.decode().strip(), _LITERAL) for literal in LITERALS]
    words += [(word, _INNOCENT) for word in NOT_CRASHES_WORDS]
    words += [
        (word, _FAMILY << number) for number, family in enumerate(FAMILIES) for word in family.words
    ]
    found = AhoCorasick([word for word, _ in words], implementation=Implementation.DFA)
    return found, [bit for _, bit in words]


@lru_cache(maxsize=1024)
def _families(bits: int) -> tuple[Family, ...]:
    return tuple(f for number, f in enumerate(FAMILIES) if bits & (_FAMILY << number))


def recognise(text: str) -> tuple[Family, re.Match[str]] | None:
    """The family of reports that a line begins, None if it begins none."""
    automaton, meanings = _automaton()
    found = automaton.find_matches_as_indexes(text, overlapping=True)
    if not found:
        return None
    bits = 0
    for index, _, _ in found:
        bits |= meanings[index]
    if bits < _FAMILY or not bits & _LITERAL:
        return None
    if bits & _INNOCENT and NOT_CRASHES.search(text):
        return None
    for family in _families(bits):
        match = family.pattern.search(text)
        if match is not None:
            return family, match
    return None
