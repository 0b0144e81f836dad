"""Kernel releases in order, and whether a fix should be in one."""

from __future__ import annotations

import re
from itertools import zip_longest

_PART = re.compile(r"\d+|[A-Za-z]+")


def order(release: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts releases: ``5.14.0-70.el9`` before ``5.14.0-427.el9``, ``6.1-rc3`` before
    ``6.1``.
    """
    return tuple(
        (2, int(part), "") if part.isdigit() else (0 if part == "rc" else 1, 0, part)
        for part in _PART.findall(release)
    )


def newer_or_same(release: str, other: str) -> bool:
    """Whether ``release`` is ``other`` or was made after it.

    Where one is a prefix of the other (``6.1.0-50`` and ``6.1.0-50-cloud-amd64``) the rest, which
    names a flavour, does not count; but ``6.1-rc3`` is older than ``6.1``.
    """
    for one, two in zip_longest(order(release), order(other)):
        if one is None:
            return two[0] == 0  # other is a release candidate of this release
        if two is None:
            return one[0] != 0
        if one != two:
            return bool(one > two)
    return True


def contains_fix(release: str, fixed_in: str) -> bool:
    """Whether a kernel ``release`` should have the fix.

    :param fixed_in: releases, with commas between: one a branch (``5.10.0-33, 6.1.0-50``). A kernel
        of a branch that is named has it from that release on, one of another branch if it is newer
        than all that are named.
    """
    named = [one.strip() for one in fixed_in.split(",") if one.strip()]
    if not named or not release:
        return False
    branch = _branch(release)
    same = [one for one in named if _branch(one) == branch]
    return all(newer_or_same(release, one) for one in same or named)


def _branch(release: str) -> tuple[tuple[int, int, str], ...]:
    """The first two numbers, and for distributions' kernels the third as well is left out."""
    return order(release)[:2]
