"""``gdb``: the part of gdb's language that makes sense without gdb."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from drgn import Program, TypeKind, sizeof

from kautopsy.shell.commands.dis import label
from kautopsy.shell.commands.p import need_memory, top
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of, evaluate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session
from kautopsy.shell.types import unaliased
from kautopsy.shell.values import Values

_RUNNING = frozenset(
    {"run", "start", "break", "tbreak", "watch", "step", "next", "stepi", "nexti", "continue",
     "call", "finish", "until", "jump", "signal", "attach", "detach", "target", "set"}
)  # fmt: skip


def _near(program: Program, value: int) -> str:
    try:
        symbol = program.symbol(value)
    except LookupError:
        return f"{value:#x}"
    offset = value - symbol.address
    return f"{value:#x} <{symbol.name}{f'+{offset}' if offset else ''}>"


_FORMATS: dict[str, Callable[[Program, int], str]] = {
    "u": lambda _program, value: str(value),
    "o": lambda _program, value: f"0{value:o}" if value else "0",
    "t": lambda _program, value: f"{value:b}",
    "c": lambda _program, value: f"{value & 0xFF} {chr(value & 0x7F)!r}",
    "a": _near,
}
_SCALARS = (TypeKind.INT, TypeKind.BOOL, TypeKind.ENUM, TypeKind.POINTER)


KNOWN = frozenset({"p", "print", "inspect", "output", "ptype", "x", "info", "disassemble"})
"""What may stand without ``gdb`` before it, as in crash: ``p/x``, ``x/4gx``, ``ptype``."""


@command("gdb", "gdb command", usage="word ...", raw=True)
def gdb(session: Session, arguments: argparse.Namespace) -> Lines:
    """There is no gdb inside; what can be answered without is:

    print[/x|d|u|o|t|c|a] EXPRESSION, output EXPRESSION, ptype TYPE|EXPRESSION, whatis EXPRESSION,
    x/NFU ADDRESS (x d u s i; b h w g), disassemble ADDRESS, list FUNCTION, info symbol ADDRESS,
    info line ADDRESS, info address NAME, bt. The rest is about a running program.
    """
    text = arguments.text.strip()
    word, _, rest = text.partition(" ")
    name, _, form = word.partition("/")
    rest = rest.strip()
    if name in ("p", "print", "inspect", "output"):
        yield from _print(session, form, rest, numbered=name != "output")
    elif name in ("ptype", "whatis"):
        yield from _type(session, name, rest)
    elif name == "x":
        yield from _examine(session, form, rest)
    elif name in ("disassemble", "list", "l", "bt", "backtrace", "where"):
        yield from _other(session, name, rest)
    elif name == "info":
        yield from _info(session, rest)
    elif not text:
        raise BadArgumentsError("a gdb command is missing", hint="help gdb")
    else:
        why = "is about a program that runs" if name in _RUNNING else "is not known here"
        raise CommandError(f"there is no gdb inside, and {name} {why}", hint="help gdb")


def _print(session: Session, form: str, text: str, *, numbered: bool) -> Lines:
    session.need_types("print")
    if form not in ("", "x", "d", "s", *_FORMATS):
        raise CommandError(
            "this format is not known here", thing=f"/{form}", hint="x d u o t c a s"
        )
    value = evaluate(session.program, text)
    need_memory(value)
    if form in _FORMATS and unaliased(value.type_).kind in _SCALARS:
        bits = 8 * (sizeof(value.type_) or 8)
        number = int(value.value_()) & ((1 << bits) - 1)
        formed = _FORMATS[form](session.program, number)
        yield f"${session.next_value()} = {formed}" if numbered else formed
        return
    radix = 16 if form == "x" else 10 if form in ("d", "u") else session.settings.radix
    shown = top(Values(session.program, radix), value)
    yield from (f"${session.next_value()} = {shown}" if numbered else shown).split("\n")


def _type(session: Session, name: str, text: str) -> Lines:
    from kautopsy.shell.run import lines_of
    from kautopsy.shell.types import declare

    session.need_types(name)
    if name == "whatis" and not re.match(r"(struct|union|enum)\s", text):
        try:
            yield f"type = {declare(evaluate(session.program, text).type_)}"
            return
        except CommandError:
            pass
    lines = list(lines_of(session, "whatis", text))
    if lines and lines[-1].startswith("SIZE:"):
        lines.pop()
    for number, line in enumerate(lines):
        yield f"type = {line}" if number == 0 and not line.startswith("type") else line


def _examine(session: Session, form: str, text: str) -> Lines:
    match = re.fullmatch(r"(\d*)([xduscai]?)([bhwg]?)|(\d*)([bhwg])([xduscai])", form)
    if match is None:
        raise CommandError("this format is not known here", thing=f"/{form}")
    count = int(match[1] or match[4] or 1)
    style = match[2] or match[6] or "x"
    size = {"b": 1, "h": 2, "w": 4, "g": 8}.get(match[3] or match[5] or "", 4)
    if style == "a" and not (match[3] or match[5]):
        size = 8
    address = address_of(session.program, text)
    program = session.program
    if style == "i":
        from kautopsy.shell.run import lines_of

        yield from lines_of(session, "dis", f"{address:x} {count}")
        return
    if style == "s":
        for _ in range(count):
            raw = program.read_c_string(address, max_size=4096)
            yield f'{address:#x}{label(program, address, 10)}:\t"{raw.decode(errors="replace")}"'
            address += len(raw) + 1
        return
    raw = program.read(address, size * count)
    per_line = {1: 8, 2: 8, 4: 4, 8: 2}[size]
    for at in range(0, count, per_line):
        here = address + at * size
        cells = []
        for i in range(at, min(at + per_line, count)):
            word = int.from_bytes(raw[i * size : (i + 1) * size], "little", signed=style == "d")
            cells.append(f"{word:#0{2 * size + 2}x}" if style in "xa" else str(word))
        yield f"{here:#x}{label(program, here, 10)}:\t" + "\t".join(cells)


def _other(session: Session, name: str, text: str) -> Lines:
    from kautopsy.shell.run import lines_of
    from kautopsy.shell.source import source_line

    if name in ("bt", "backtrace", "where"):
        yield from lines_of(session, "bt", text)
    elif name == "disassemble":
        yield from lines_of(session, "dis", text)
    else:
        if not text:
            raise BadArgumentsError("list takes a function or an address")
        place = source_line(session.program, address_of(session.program, text))
        if not place:
            raise CommandError("its source line is not known without DWARF", thing=text)
        yield place


def _info(session: Session, text: str) -> Lines:
    from kautopsy.shell.source import source_line

    what, _, rest = text.partition(" ")
    program = session.program
    if what in ("symbol", "line") and rest:
        address = address_of(program, rest)
        if what == "line":
            yield source_line(program, address) or "No line number information available."
            return
        where = label(program, address, 10).strip(" <>")
        yield f"{where} in the kernel" if where else f"No symbol matches {rest}."
    elif what == "address" and rest:
        yield f'Symbol "{rest}" is at {address_of(program, rest):#x}.'
    else:
        raise CommandError("this part of info is not known here", thing=text, hint="help gdb")
