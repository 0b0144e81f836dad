"""Taint letters in words, as ``taint_flags`` of kernel/panic.c and Documentation/admin-guide/
tainted-kernels.rst list them; Red Hat and Debian kernels of old had letters of their own."""

from __future__ import annotations

import re

from kautopsy.model.lazy import lazy_pattern

WORDS: dict[str, str] = {
    "P": "a proprietary module was loaded",
    "F": "a module was loaded by force",
    "S": "the kernel runs on hardware out of its specification",
    "R": "a module was unloaded by force",
    "M": "the processor reported a machine check",
    "B": "a bad page was referenced",
    "U": "user space asked for the taint",
    "D": "the kernel had died before (an earlier oops or BUG)",
    "A": "an ACPI table was overridden",
    "W": "a warning was given before",
    "C": "a staging driver was loaded",
    "I": "the kernel works around a bug in the firmware",
    "O": "a module from outside the kernel tree was loaded",
    "E": "an unsigned module was loaded",
    "L": "a soft lockup occurred before",
    "K": "the kernel has been live patched",
    "X": "the distribution's own taint",
    "T": "the kernel's structure layout was randomised, or a test ran",
    "N": "an in-kernel test has run",
    "J": "user space has used mutating debug operations of the firmware",
    "H": "the hardware is unsupported (Red Hat)",
}
"""Letter → what it says. ``G`` stands in ``P``'s place where nothing proprietary was loaded."""

_LETTERS = lazy_pattern(r"Tainted: ([A-Z \-]*?)(?=[ \-]*(?:$|\d|\)|#|[a-z]|VLI))")
_NEW = lazy_pattern(r"Tainted: ((?:\[[A-Z]\]=\w+(?:, )?)+)")


def taint_in(text: str) -> tuple[str, ...] | None:
    """Letters after ``Tainted: `` (``G`` left out), empty for ``Not tainted``; None if neither.

    Red Hat pads with dashes (``Tainted: GF          -----  2.6.32``). New kernels spell
    them on a line of its own (``Tainted: [L]=SOFTLOCKUP``).
    """
    if "ainted" not in text:
        return None
    match = _NEW.search(text)
    if match is not None:
        return tuple(re.findall(r"\[([A-Z])\]", match[1]))
    match = _LETTERS.search(text)
    if match is not None:
        return tuple(dict.fromkeys(c for c in match[1] if c.isalpha() and c != "G"))
    return () if "Not tainted" in text else None


def in_words(letters: tuple[str, ...]) -> list[str]:
    """``["W: a warning was given before", ...]``."""
    return [f"{letter}: {WORDS.get(letter, 'unknown')}" for letter in letters]
