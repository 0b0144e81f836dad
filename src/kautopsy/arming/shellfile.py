"""Files that sh sources (``KEY="value"``: /etc/default, /etc/sysconfig), edited losslessly.

Only the value of the assignment that is meant changes: comments, order, quotes and bytes of all
else stay. What cannot be taken apart (a value over several lines, a command substitution) is left
alone, and a new assignment after it takes its value further.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=")
_TOKEN = re.compile(
    r""""(?P<double>(?:[^"\\`]|\\.)*)" | '(?P<single>[^']*)' | (?P<bare>[^\s"'\\#;&|()<>`]*)""",
    re.VERBOSE,
)
_END = re.compile(r"[ \t]*(?:[ \t]#.*)?\r?$", re.DOTALL)


@dataclass(frozen=True)
class _Assignment:
    """``NAME=value`` on one line; ``start`` and ``end`` of the value with its quotes."""

    at: int
    line: str
    start: int
    end: int
    quote: str
    raw: str

    def with_token(self, token: str) -> str:
        """The line with another value, quoted already."""
        return self.line[: self.start] + token + self.line[self.end :]

    def with_raw(self, raw: str) -> str:
        """The line with another value as it is written between quotes."""
        bare = not self.quote and not re.search(r"[^\w./:,=$+@%-]", raw)
        sign = "" if bare else self.quote or '"'
        return self.with_token(f"{sign}{raw}{sign}")


def set_value(text: str, name: str, value: str) -> str:
    """``text`` with ``name`` set to ``value`` for sh, whatever it was.

    Without an assignment a line is added: behind a commented one if there is one, else at the end.
    """
    found, stuck = _assignments(text, name)
    if not found or stuck:
        return _with_line(text, name, f"{name}={quote(value)}")
    last = found[-1]
    old = re.sub(r'\\(["\\$`])', r"\1", last.raw) if last.quote == '"' else last.raw
    if old == value and not ("$" in last.raw and last.quote != "'" and "\\$" not in last.raw):
        return text
    single = last.quote == "'" and "'" not in value
    bare = not last.quote and re.fullmatch(r"[\w./:,=+@%-]+", value)
    token = f"'{value}'" if single else value if bare else quote(value)
    return _with(text, last, last.with_token(token))


def edit_words(text: str, name: str, edit: Callable[[str], str], *, goes_on: bool = False) -> str:
    """``text`` with the list of words in the last assignment of ``name`` edited as it is written.

    :param goes_on: the file is read after others: a new assignment keeps what they gave it
    :param edit: gets what stands between the quotes, ``$NAME`` and backslashes as they are; adds
        nothing that sh would expand
    """
    found, stuck = _assignments(text, name)
    if found and not stuck:
        return _edited(text, found[-1], edit)
    new = edit("")
    if not new:
        return text
    return _with_line(text, name, f'{name}="{f"${name} " if stuck or goes_on else ""}{new}"')


def edit_others(text: str, name: str, edit: Callable[[str], str], *, last: bool) -> str:
    """As :func:`edit_words`, for the assignments before the last one; ``last``: for that too."""
    found, _ = _assignments(text, name)
    for one in found if last else found[:-1]:
        text = _edited(text, one, edit)
    return text


def raw_value(text: str, name: str) -> str:
    """What stands between the quotes of the last simple assignment; "" without one."""
    found, _ = _assignments(text, name)
    return found[-1].raw if found else ""


def assigned(text: str, name: str) -> bool:
    """Whether a line assigns ``name``."""
    found, stuck = _assignments(text, name)
    return bool(found) or stuck


def quote(value: str) -> str:
    """``value`` in double quotes that sh takes for exactly that."""
    return '"' + re.sub(r'["\\$`]', r"\\\g<0>", value) + '"'


def _assignments(text: str, name: str) -> tuple[list[_Assignment], bool]:
    """The simple assignments of a name, and whether the last one is none of these."""
    found: list[_Assignment] = []
    stuck = False
    for at, line in enumerate(text.split("\n")):
        match = _ASSIGNMENT.match(line)
        if match is None or match[1] != name:
            continue
        token = _TOKEN.match(line, match.end())
        stuck = token is None or _END.match(line, token.end()) is None or "$(" in token[0]
        if token is not None and not stuck:
            kind = token.lastgroup or "bare"
            sign = {"double": '"', "single": "'"}.get(kind, "")
            found.append(_Assignment(at, line, match.end(), token.end(), sign, token[kind]))
    return found, stuck


def _edited(text: str, one: _Assignment, edit: Callable[[str], str]) -> str:
    new = edit(one.raw)
    return text if new == one.raw else _with(text, one, one.with_raw(new))


def _with(text: str, one: _Assignment, line: str) -> str:
    lines = text.split("\n")
    lines[one.at] = line
    return "\n".join(lines)


def _with_line(text: str, name: str, line: str) -> str:
    comment = re.compile(rf"^[ \t]*#+[ \t]*(?:export[ \t]+)?{re.escape(name)}=")
    lines = text.split("\n")
    at = next((i for i in reversed(range(len(lines))) if comment.match(lines[i])), None)
    if at is not None and not assigned(text, name):
        lines.insert(at + 1, line)
        return "\n".join(lines)
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{line}\n"
