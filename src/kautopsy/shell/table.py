"""Tables on the terminal: columns under their heads, and back into rows for ``--json``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Cell = str | int


def columns(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = ""
) -> Iterator[str]:
    """Rows under a head, two spaces between columns.

    :param align: a letter a column: ``l`` left, ``r`` right, ``c`` centred head over left cells
    """
    kept = [tuple(row) for row in rows]
    align = align or "l" * len(head)
    widths = [
        max([len(title), *(len(row[at]) for row in kept if at < len(row))])
        for at, title in enumerate(head)
    ]

    def cell(text: str, at: int, *, title: bool = False) -> str:
        if at == len(head) - 1 and align[at] != "r":
            return text
        if align[at] == "r":
            return text.rjust(widths[at])
        return text.center(widths[at]) if title and align[at] == "c" else text.ljust(widths[at])

    yield "  ".join(cell(title, at, title=True) for at, title in enumerate(head)).rstrip()
    for row in kept:
        yield "  ".join(cell(text, at) for at, text in enumerate(row)).rstrip()


def rows_of(lines: Iterable[str]) -> list[dict[str, Cell | None]]:
    """The rows of tables among ``lines``: a head in capitals, then lines with as many cells.

    A line before a head that says ``KEY: value`` pairs (``PID: 1  TASK: ...``) belongs to every
    row that follows, as do the lines ``KEY: value`` that stand alone.
    """
    found: list[dict[str, Cell | None]] = []
    head: list[str] = []
    about: dict[str, Cell | None] = {}
    for line in lines:
        if not line.strip():
            head = []
            continue
        pairs = re.findall(r"([A-Z][A-Z_ ]*?):\s+(\S+)", line)
        if pairs and not head:
            titles = [(key.strip().lower(), value) for key, value in pairs]
            about = {title: _value(title, value) for title, value in titles}
            continue
        words = line.split()
        if _is_head(words):
            head = [word.lower() for word in _heads(line)]
            continue
        if not head:
            continue
        marked = line.startswith(">")
        cells = line.lstrip(">").split(None, len(head) - 1)
        row: dict[str, Cell | None] = dict(about)
        row.update({title: _value(title, cell) for title, cell in zip(head, cells, strict=False)})
        for title in head[len(cells) :]:
            row[title] = None
        if marked:
            row["active"] = 1
        found.append(row)
    return found


def _is_head(words: list[str]) -> bool:
    letters = [word for word in words if re.search("[A-Z]", word)]
    return len(letters) >= max(2, len(words) - 1) and all(
        re.fullmatch(r"[A-Z_/%\-()]+|ADDRESS\(ES\)", word) for word in words
    )


_OF_TWO_WORDS = re.compile(
    r"OBJECT FILE|IP ADDRESS(?:\(ES\))?|HW (?:TYPE|ADDRESS)|SYSTEM CALL|ADDRESS RANGE"
)


def _heads(line: str) -> list[str]:
    """The titles of a head."""
    joined = _OF_TWO_WORDS.sub(lambda found: found[0].replace(" ", "_"), line)
    return joined.split()


_DECIMAL = frozenset(
    [
        "pid",
        "ppid",
        "cpu",
        "vsz",
        "rss",
        "irq",
        "objsize",
        "allocated",
        "total",
        "slabs",
        "fd",
        "pri",
        "nattch",
        "bytes",
        "nsems",
        "messages",
        "shmid",
        "semid",
        "msqid",
        "uid",
        "size",
        "used",
        "pages",
        "free",
        "expires",
        "tte",
        "chrdev",
        "blkdev",
        "blocks",
        "area",
        "zone",
        "node",
    ]
)
"""Columns of numbers in decimal; all others may be hexadecimal and stay text."""


def _value(title: str, text: str) -> Cell | None:
    if text in ("(unused)", "(none)", "(unknown)"):
        return None
    if title in _DECIMAL and re.fullmatch(r"-?\d+", text):
        return int(text)
    return text
