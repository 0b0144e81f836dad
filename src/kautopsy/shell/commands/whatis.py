"""``whatis``: definitions of types, declarations of symbols, types by size or member."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import FindObjectFlags, Program, Type, TypeKind

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.catalogue import Catalogue, catalogue
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import evaluate
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, declared
from kautopsy.shell.types import (
    AGGREGATES,
    declare,
    definition,
    find_aggregate,
    size_of,
    unaliased,
)

_MOST_DEEP = 8


@command(
    "whatis",
    "search symbol table for data or type information",
    usage="[-o] [struct | union | typedef | symbol] | [-r size|range] [-m member]",
    arguments=(
        flag("-o", "the offsets of the members", dest="offsets"),
        argument("-r", dest="range", metavar="size|range", help="types of a size: 192, 8-64"),
        argument("-m", dest="member",
                 help="structures with a member of this type, or a pointer to one"),
        argument("name", nargs="*", help="a type, a symbol, or an expression"),
    ),
    drgn="""
    prog.type("struct list_head")
    prog["jiffies"].type_
    """,
)  # fmt: skip
def whatis(session: Session, arguments: argparse.Namespace) -> Lines:
    """The definition of a type, or the declaration of a variable or function."""
    session.need_types("whatis")
    program = session.program
    if arguments.range or arguments.member:
        yield from _search(program, arguments.range, arguments.member)
        return
    if not arguments.name:
        raise BadArgumentsError("a type or symbol is missing", hint="help whatis")
    words = arguments.name
    kind = words.pop(0) if words[0] in ("struct", "union", "enum") and len(words) > 1 else ""
    text = " ".join(words)
    if kind == "enum":
        yield from _type(program.type(f"enum {text}"), arguments.offsets)
        return
    if found := re.fullmatch(r"([A-Za-z_]\w*)\.([\w.,\[\]]+)", text):
        wanted = Wanted.parse(text)
        outer = find_aggregate(program, wanted.name, kind)
        if outer is not None:
            yield from declared(outer, wanted.members, None, session.base())
            return
    found = find_aggregate(program, text, kind)
    if found is not None:
        yield from definition(found, offsets=arguments.offsets)
        return
    try:
        found = program.type(text)
    except (LookupError, SyntaxError):
        yield _symbol(program, text)
        return
    yield from _type(found, arguments.offsets)


def _type(type_: Type, offsets: bool) -> Iterator[str]:
    bare = unaliased(type_)
    if bare.kind in AGGREGATES and bare.is_complete():
        yield from definition(type_, offsets=offsets)
        return
    if type_.kind is TypeKind.TYPEDEF:
        yield f"typedef {declare(unaliased(type_), type_.name)};"
    elif type_.kind is TypeKind.ENUM:
        parts = _enumerators(type_)
        yield f"enum {type_.tag or ''} {{{', '.join(parts)}}};".replace("  ", " ")
    else:
        yield f"{declare(type_)};"
    yield f"SIZE: {size_of(type_)}"


def _enumerators(type_: Type) -> Iterator[str]:
    """Values only where they do not follow from the one before, as gdb."""
    expected = 0
    for one in type_.enumerators or ():
        yield one.name if one.value == expected else f"{one.name} = {one.value}"
        expected = one.value + 1


def _symbol(program: Program, text: str) -> str:
    try:
        value = program.object(text, FindObjectFlags.ANY)
    except LookupError:
        value = None
    if value is None:
        if re.fullmatch(r"[A-Za-z_]\w*", text):
            try:
                program.symbol(text)
            except LookupError:
                raise CommandError("cannot resolve", thing=text) from None
            return f"<data variable, no debug info> {text};"
        return f"type = {declare(evaluate(program, text).type_)}"
    if value.address_ is None:
        return f"{declare(value.type_)} {text};"
    return f"{declare(value.type_, text)};"


def _search(program: Program, sizes: str | None, member: str | None) -> Iterator[str]:
    low, high = _range(sizes) if sizes else (0, 1 << 62)
    names = catalogue(program)
    found: set[tuple[int, str]] = set()
    seen: dict[str, bool] = {}
    for name, size in names.aggregates.items():
        if not low <= size <= high:
            continue
        type_ = find_aggregate(program, name)
        if type_ is not None and (member is None or _holds(type_, member, seen, 0)):
            found.add((size, name))
    if member is None:
        found |= {(size, name) for size, name in _plain(program, names) if low <= size <= high}
    if not found:
        raise CommandError("no structure found", thing=member or sizes or "")
    yield "SIZE  TYPE"
    yield from (f"{size:>4}  {name}" for size, name in sorted(found))


def _plain(program: Program, names: Catalogue) -> Iterator[tuple[int, str]]:
    for name in names.plain:
        try:
            yield size_of(program.type(name)), name
        except (LookupError, SyntaxError):
            continue


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)(?:-(0x[0-9a-fA-F]+|\d+))?", text)
    if match is None:
        raise BadArgumentsError("invalid size or range", thing=text, hint="as 192 or 8-64")
    low = int(match[1], 0)
    return low, int(match[2], 0) if match[2] else low


def _holds(type_: Type, member: str, seen: dict[str, bool], depth: int) -> bool:
    """Whether a member's type names ``member``; structures within are looked into as well."""
    tag = type_.tag or ""
    if tag in seen:
        return seen[tag]
    found = False
    for one in type_.members or ():
        try:
            inner = one.type
        except READ_ERRORS:
            continue
        if member in declare(inner):
            found = True
            break
        while inner.kind is TypeKind.ARRAY:
            inner = inner.type
        bare = unaliased(inner)
        deeper = bare.kind in AGGREGATES and depth < _MOST_DEEP
        if deeper and _holds(bare, member, seen, depth + 1):
            found = True
            break
    if tag:
        seen[tag] = found
    return found
