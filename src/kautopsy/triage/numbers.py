"""Numbers of things in the sentences of findings."""

from __future__ import annotations


def several(count: int, noun: str, verb: str = "") -> str:
    """``1 task hangs`` or ``3 tasks hang``: of regular nouns and verbs, in their plural's form."""
    words = f"{count} {noun}" if count == 1 else f"{count} {noun}s"
    if not verb:
        return words
    return f"{words} {verb}s" if count == 1 else f"{words} {verb}"
