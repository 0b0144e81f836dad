"""Differences that are understood: who is right, and why.

A rule covers rows of one command. Where crash is wrong, or cannot do it, the row does not count;
where both are right and only say it differently, the row counts as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from tests.shell.parity.compare import Difference


class Right(StrEnum):
    """Who is."""

    OWN = "kautopsy"
    CRASH = "crash"
    BOTH = "both"


@dataclass(frozen=True)
class Rule:
    """One understood difference.

    :param line: the commands it is about
    :param row: the rows of either side, the fields joined by a space; empty for all of the command
    :param kernels: series it is seen on, empty for all
    """

    line: str
    row: str
    right: Right
    why: str
    kernels: tuple[str, ...] = ()

    def covers(self, line: str, difference: Difference, series: str) -> bool:
        """Whether it explains a difference."""
        if self.kernels and series not in self.kernels:
            return False
        if not re.search(self.line, line):
            return False
        texts = (" ".join(difference.crash), " ".join(difference.own))
        return any(text and re.search(self.row, text) for text in texts)


RULES: tuple[Rule, ...] = ()
