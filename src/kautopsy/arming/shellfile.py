"""Files that sh sources (``KEY="value"``: /etc/default, /etc/sysconfig), edited losslessly.

Only the value of the assignment that is meant changes: comments, order, quotes and bytes of all
else stay. A value may be of several quoted pieces, on several lines, or added by ``+=``; one that
cannot be taken apart (a command substitution) is left alone, and a new assignment after it takes
its value further.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)(\+?)=")
_PIECE = re.compile(
    r""""(?P<double>(?:[^"\\`]|\\.)*)" | '(?P<single>[^']*)' | (?P<join>\\\n)
    | (?P<bare>(?:[^\s"'\\#;&|()<>`]|(?<=[^\s;])\#)+)""",
    re.VERBOSE | re.DOTALL,
)
_END = re.compile(r"[ \t]*(?:;|(?:(?<=[ \t])#[^\n]*)?\r?(?:\n|\Z))")
# What else a line may be: up to its end, which no quote or backslash hides.
_STATEMENT = re.compile(r"""(?:[^\n"'\\#]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|(?<=\S)\#)*""", re.DOTALL)
_BARE = re.compile(r"[\w./:,=$+@%{}-]*")
# In double quotes: a guarded character, a line that goes on, or a reference.
_EXPANDED = re.compile(r'\\(["\\$`\n])|\$(?:\{(\w+)\}|(\w+))')


@dataclass(frozen=True)
class _Piece:
    """A part of a value: ``start`` and ``end`` with its quotes, ``raw`` between them."""

    start: int
    end: int
    quote: str
    raw: str

    def written(self, raw: str) -> str:
        """``raw`` in this piece's quotes, or in some where it had none and needs them."""
        sign = "" if not self.quote and _BARE.fullmatch(raw) else self.quote or '"'
        return f"{sign}{raw}{sign}"


@dataclass(frozen=True)
class _Assignment:
    """``NAME=value`` or ``NAME+=value``; ``start`` and ``end`` of the value with its quotes."""

    name: str
    adds: bool
    start: int
    end: int
    pieces: tuple[_Piece, ...]

    @property
    def quote(self) -> str:
        """The quotes of a value that is one piece."""
        return self.pieces[0].quote if len(self.pieces) == 1 else "" if not self.pieces else '"'

    @property
    def raw(self) -> str:
        """What stands between the quotes; backslashes and references as they are."""
        return "".join(piece.raw for piece in self.pieces)


def set_value(text: str, name: str, value: str) -> str:
    """``text`` with ``name`` set to ``value`` for sh, whatever it was.

    Without an assignment a line is added: behind a commented one if there is one, else at the end.
    """
    found, stuck = _assignments(text, name)
    if not found or stuck or found[-1].adds:
        return _with_line(text, name, f"{name}={quote(value)}")
    last = found[-1]
    old = re.sub(r'\\(["\\$`])', r"\1", last.raw) if last.quote == '"' else last.raw
    plain = len(last.pieces) < 2 and "\\\n" not in last.raw
    expands = "$" in last.raw and last.quote != "'" and "\\$" not in last.raw
    if old == value and plain and not expands:
        return text
    single = last.quote == "'" and "'" not in value
    bare = not last.quote and re.fullmatch(r"[\w./:,=+@%-]+", value)
    token = f"'{value}'" if single else value if bare else quote(value)
    return text[: last.start] + token + text[last.end :]


def edit_words(
    text: str,
    name: str,
    edit: Callable[[str], str],
    take_out: Callable[[str], str],
    *,
    goes_on: bool = False,
) -> str:
    """``text`` with the list of words in the last assignment of ``name`` edited as it is written.

    :param goes_on: the file is read after others: a new assignment keeps what they gave it
    :param edit: gets what stands between the quotes, ``$NAME`` and backslashes as they are; adds
        nothing that sh would expand
    :param take_out: the same for all but the last piece of a value that has several
    """
    found, stuck = _assignments(text, name)
    if found and not stuck:
        return _edited(text, found[-1], edit, take_out)
    new = edit("")
    if not new:
        return text
    return _with_line(text, name, f'{name}="{f"${name} " if stuck or goes_on else ""}{new}"')


def edit_others(text: str, name: str, edit: Callable[[str], str], *, last: bool) -> str:
    """As :func:`edit_words`, for the assignments before the last one; ``last``: for that too."""
    found, _ = _assignments(text, name)
    for one in reversed(found if last else found[:-1]):
        text = _edited(text, one, edit, edit)
    return text


def raw_value(text: str, name: str) -> str:
    """What stands between the quotes of the last assignment; "" without one."""
    found, _ = _assignments(text, name)
    return found[-1].raw.replace("\\\n", "") if found else ""


def assigned(text: str, name: str) -> bool:
    """Whether something assigns ``name``."""
    found, stuck = _assignments(text, name)
    return bool(found) or stuck


def evaluate(texts: Iterable[str]) -> Mapping[str, str]:
    """The variables that sh has when it has read ``texts`` one after the other.

    Of ``if`` both sides are read, and what a command would print is nothing: this runs no program.
    """
    values: dict[str, str] = {}

    def expand(match: re.Match[str]) -> str:
        if match[1]:
            return match[1].strip("\n")
        return values.get(match[2] or match[3], "")

    for text in texts:
        for one in _every(text):
            if not isinstance(one, _Assignment):
                continue
            value = "".join(
                piece.raw if piece.quote == "'" else _EXPANDED.sub(expand, piece.raw)
                for piece in one.pieces
            )
            values[one.name] = values.get(one.name, "") + value if one.adds else value
    return values


def quote(value: str) -> str:
    """``value`` in double quotes that sh takes for exactly that."""
    return '"' + re.sub(r'["\\$`]', r"\\\g<0>", value) + '"'


def _assignments(text: str, name: str) -> tuple[list[_Assignment], bool]:
    """The assignments of a name that can be taken apart, and whether the last one cannot."""
    found: list[_Assignment] = []
    stuck = False
    for one in _every(text):
        if isinstance(one, _Assignment):
            if one.name == name:
                found.append(one)
                stuck = False
        elif one == name:
            stuck = True
    return found, stuck


def _every(text: str) -> Iterable[_Assignment | str]:
    """Every assignment in order; only the name of one that cannot be taken apart."""
    at = 0
    while at < len(text):
        match = _ASSIGNMENT.match(text, at)
        if match is None:
            at = _next_statement(text, at)
            continue
        pieces, end = _pieces(text, match.end())
        after = _END.match(text, end)
        if after is None:
            # "A=1 command" sets nothing; anything else is more than can be read here.
            if end == match.end() or text[end : end + 1] not in (" ", "\t"):
                yield match[1]
            at = _next_statement(text, match.end())
            continue
        at = after.end()
        if any("$(" in piece.raw for piece in pieces if piece.quote != "'"):
            yield match[1]
        else:
            yield _Assignment(match[1], bool(match[2]), match.end(), end, pieces)


def _pieces(text: str, at: int) -> tuple[tuple[_Piece, ...], int]:
    pieces = []
    while (match := _PIECE.match(text, at)) is not None:
        kind = match.lastgroup or ""
        sign = {"double": '"', "single": "'"}.get(kind, "")
        if kind != "join":
            pieces.append(_Piece(at, match.end(), sign, match[kind]))
        at = match.end()
    return tuple(pieces), at


def _next_statement(text: str, at: int) -> int:
    """Where the next line begins that is no part of this one; one line on where quotes are open."""
    match = _STATEMENT.match(text, at)
    end = match.end() if match else at
    line = text.find("\n", end)
    if text[end : end + 1] not in ("", "\n", "#"):
        line = text.find("\n", at)
    return len(text) if line < 0 else line + 1


def _edited(
    text: str, one: _Assignment, edit: Callable[[str], str], take_out: Callable[[str], str]
) -> str:
    pieces = one.pieces or (_Piece(one.start, one.end, "", ""),)
    several = one.adds or len(pieces) > 1
    for piece in reversed(pieces):
        new = (edit if piece is pieces[-1] else take_out)(piece.raw)
        if new == piece.raw:
            continue
        if several:
            # What is glued to its neighbours must not touch them.
            before = re.match(r"\s*", piece.raw)
            after = re.search(r"\s*$", piece.raw)
            head, tail = before[0] if before else "", after[0] if after else ""
            if new.strip():
                new = (head or (" " if not piece.raw else "")) + new.strip() + tail
            else:
                new = " "
        text = text[: piece.start] + piece.written(new) + text[piece.end :]
    return text


def _with_line(text: str, name: str, line: str) -> str:
    comment = re.compile(rf"^[ \t]*#+[ \t]*(?:export[ \t]+)?{re.escape(name)}=")
    lines = text.split("\n")
    at = next((i for i in reversed(range(len(lines))) if comment.match(lines[i])), None)
    if at is not None and not assigned(text, name):
        lines.insert(at + 1, line)
        return "\n".join(lines)
    return with_last_line(text, line)


def with_last_line(text: str, line: str) -> str:
    """``text`` with one line more, which a backslash before it does not join to another."""
    body = text.removesuffix("\n")
    joins = (len(body) - len(body.rstrip("\\"))) % 2
    gap = "" if not text or text.endswith("\n") else "\n"
    return text + gap + "\n" * joins + f"{line}\n"
