"""Lines that a screen or a mailer broke, joined again.

A terminal breaks what is wider than it is, and what is copied out of `less`, `ipmitool sol`, a
hypervisor's viewer or a photograph keeps the breaks; a mailer breaks between words. Where the
kernel stamps its lines, what has no stamp and follows upon a full line is the rest of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kautopsy.model.lazy import lazy_pattern

Numbered = tuple[int, str]
"""A line and its number in the file."""

_NARROWEST = 60
_WIDEST = 300
"""Columns of a terminal that anybody reads logs on."""
_MAIL = 90
"""Columns of a mail: some 72 to 80, and the marks of whom it quotes."""
_BREAKS = 2
"""One line that happens to be the longest, with a program's word behind it, is no wrapped text;"""
_TERMINALS = frozenset({80, 100, 120, 132})
"""unless it is as wide as most terminals are."""
_STAMPED = lazy_pattern(
    r"[>| \t]{0,20}(?:<\d{1,3}>)?(?:[^\[\n]{0,80}\[ {0,12}\d{1,10}\.\d{3,9}\]"
    r"|\[?(?:[^\W\d_]{2,5} )?[^\W\d_]{3,5}\.? +\d{1,2} \d{1,2}:\d\d:\d\d "
    r"|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
)
_QUOTED = lazy_pattern(r"(?:>[ \t]?){1,10}")


def unwrapped(numbered: Sequence[Numbered]) -> list[Numbered]:
    """``numbered`` with what was broken joined, each line under the number of its first piece."""
    lines = [line.rstrip("\r") for _, line in numbered]
    width = max((len(line) for line in lines), default=0)
    if not _NARROWEST <= width <= _WIDEST:
        return list(numbered)
    rests = [
        i
        for i in range(1, len(lines))
        if lines[i - 1] and lines[i] and not _STAMPED.match(lines[i])
    ]
    if not rests or not _is_stamped(lines, rests):
        return list(numbered)
    screen, mail = _by_screen(lines, rests, width), _by_mail(lines, rests)
    # that most are exactly as long as the longest is no chance
    return _joined(numbered, lines, screen if 2 * len(screen) > len(mail) else mail)


def _by_screen(lines: list[str], rests: list[int], width: int) -> dict[int, str]:
    """Which of ``rests`` belong to the line before, and what stood between: a full line's."""
    full = [i for i in rests if len(lines[i - 1]) == width]
    if len(full) < (1 if width in _TERMINALS else _BREAKS) or 2 * len(full) < len(rests):
        return {}
    # copied out of a screen, a space in the last column is gone
    return {
        i: "" if len(lines[i - 1]) == width else " "
        for i in rests
        if len(lines[i - 1]) >= width - 1
    }


def _by_mail(lines: list[str], rests: list[int]) -> dict[int, str]:
    """The same where lines were broken between words; a word that is too long stands alone."""
    width = max((len(line) for line in lines if " " in line.strip()), default=0)
    broken = [i for i in rests if _had_no_room(lines[i - 1], lines[i], width)]
    if not _NARROWEST <= width <= _MAIL or len(broken) < _BREAKS or 2 * len(broken) <= len(rests):
        return {}
    return dict.fromkeys(broken, " ")


def _is_stamped(lines: list[str], rests: list[int]) -> bool:
    """Whether the log is one of lines with stamps, so that one without says something."""
    stamped = sum(1 for line in lines if _STAMPED.match(line))
    return stamped > len(rests)


def _had_no_room(line: str, rest: str, width: int) -> bool:
    """Whether a mailer had to break ``line`` before the first word of ``rest``."""
    rest = _without_marks(rest)
    return rest[:1] not in ("", " ", "\t") and len(line) + 1 + len(rest.split()[0]) > width


def _without_marks(rest: str) -> str:
    marks = _QUOTED.match(rest)
    return rest[marks.end() :] if marks is not None else rest


def _joined(numbered: Sequence[Numbered], lines: list[str], glue: dict[int, str]) -> list[Numbered]:
    joined: list[Numbered] = []
    for index, (number, line) in enumerate(numbered):
        if index in glue:
            first, before = joined[-1]
            joined[-1] = (first, before.rstrip("\r") + glue[index] + _without_marks(lines[index]))
        else:
            joined.append((number, line))
    return joined
