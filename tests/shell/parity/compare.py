"""Outputs as rows of fields, and which of them are equal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Row = tuple[str, ...]
_MOST_ROWS = 600


@dataclass(frozen=True)
class Difference:
    """A row that is not the same; either side may be empty.

    :param fields: how many fields of the longer side have no equal
    """

    crash: Row
    own: Row
    fields: int


@dataclass(frozen=True)
class Comparison:
    """One command on one dump.

    :param fields: how many there are (of each row, the longer side's)
    :param equal: how many of them are the same
    """

    fields: int
    equal: int
    differences: tuple[Difference, ...]


def rows(text: str) -> list[Row]:
    """Lines as fields; what is only layout is left out: blank lines, rulers, ``$1 =``."""
    found: list[Row] = []
    # gdb breaks the line before an array that is longer than it.
    for line in re.sub(r"= \n +(?=\{)", "= ", text).splitlines():
        line = re.sub(r"\$\d+ = ", "", line)
        # Where the kernel was built is not part of a source file's name.
        line = re.sub(
            r"(?:debian/build/build_\w+(?:-\w+)?/|(?:\.\./)+)(?=\S+\.[chS]: \d)", "", line
        )
        # ``CPU:0`` and ``CPU: 0``, ``[ 0]`` and ``[0]``, ``717.0 MB`` and ``717MB`` are one thing.
        fields = tuple(re.sub(r"\[\s+", "[", line).split())
        if fields and not _is_head(fields) and not re.fullmatch(r"-+", "".join(fields)):
            found.append(fields)
    return found


def _is_head(fields: Row) -> bool:
    """The titles over a table: words in capitals, at least two."""
    letters = [one for one in fields if re.search("[A-Za-z]", one)]
    return len(letters) >= 2 and all(
        re.fullmatch(r"[A-Z_/%()\-.:]+", one) for one in fields
    ) and not any(one.endswith(":") for one in fields)  # fmt: skip


def compare(crash: str, own: str) -> Comparison:
    """Compare two outputs, rows in their order."""
    left, right = _begin(rows(crash), rows(own))
    fields = equal = 0
    differences: list[Difference] = []
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            count = sum(len(row) for row in left[a:b])
            fields += count
            equal += count
            continue
        for one, other in _paired(left[a:b], right[c:d]):
            same = _same(one, other)
            longer = max(len(one), len(other))
            fields += longer
            equal += same
            if same < longer:
                differences.append(Difference(one, other, longer - same))
    return Comparison(fields, equal, tuple(differences))


def _begin(left: list[Row], right: list[Row]) -> tuple[list[Row], list[Row]]:
    """The beginnings of long outputs: up to the same row on both sides, where there is one."""
    if len(left) <= _MOST_ROWS:
        return left, right[: max(len(left), _MOST_ROWS)]
    left = left[:_MOST_ROWS]
    for back in range(20):
        row = left[-1 - back]
        # Rows like ``}`` are many: the one that lies nearest.
        places = [at for at, other in enumerate(right) if other == row]
        if places:
            end = min(places, key=lambda at: abs(at - _MOST_ROWS))
            return left[: _MOST_ROWS - back], right[: end + 1]
    return left, right[:_MOST_ROWS]


def _paired(left: Sequence[Row], right: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Rows that begin alike belong together, the others in their order."""
    pairs: list[tuple[Row, Row]] = []
    matcher = SequenceMatcher(
        None, [row[0] for row in left], [row[0] for row in right], autojunk=False
    )
    for _tag, a, b, c, d in matcher.get_opcodes():
        for at in range(max(b - a, d - c)):
            one = left[a + at] if a + at < b else ()
            other = right[c + at] if c + at < d else ()
            pairs.append((one, other))
    return pairs


def _same(one: Row, other: Row) -> int:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())
