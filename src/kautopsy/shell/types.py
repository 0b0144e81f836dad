"""Types as gdb and crash write them: ``struct list_head {`` and what is in it, with offsets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drgn import Program, Type, TypeKind, TypeMember

from kautopsy.shell.errors import CommandError

AGGREGATES = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_MOST_DEEP = 24


def find_aggregate(program: Program, name: str, kind: str = "") -> Type | None:
    """The structure or union ``name``, or what a typedef of the name stands for.

    :param kind: ``struct`` or ``union``, or '' for either
    """
    if not _IDENTIFIER.fullmatch(name):
        return None
    for prefix in [f"{kind} "] if kind else ["struct ", "union "]:
        try:
            found = program.type(prefix + name)
        except LookupError:
            continue
        if found.is_complete():
            return found
    try:
        found = program.type(name)
    except (LookupError, SyntaxError, ValueError):
        return None
    bare = unaliased(found)
    return found if bare.kind in AGGREGATES and bare.is_complete() else None


def is_aggregate(program: Program, name: str) -> bool:
    """Whether ``name`` is a structure, a union or a typedef of one."""
    return find_aggregate(program, name) is not None


def aggregate(program: Program, name: str, kind: str = "") -> Type:
    """As :func:`find_aggregate`.

    :raises CommandError: there is none
    """
    found = find_aggregate(program, name, kind)
    if found is None:
        raise CommandError(f"no {kind or 'struct or union'} of this name", thing=name)
    return found


def unaliased(type_: Type) -> Type:
    """``type_`` without typedefs."""
    while type_.kind is TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def all_members(type_: Type) -> Iterator[TypeMember]:
    """Its members, those of members without a name included."""
    for member in unaliased(type_).members or ():
        if member.name is None and unaliased(member.type).kind in AGGREGATES:
            yield from all_members(member.type)
        else:
            yield member


def size_of(type_: Type) -> int:
    """``sizeof``; 0 for what has no size."""
    try:
        from drgn import sizeof

        return int(sizeof(type_))
    except TypeError:
        return 0


def title(type_: Type) -> str:
    """``struct list_head``; a typedef's structure by its own name, or ``struct`` if it has none."""
    bare = unaliased(type_)
    keyword = "union" if bare.kind is TypeKind.UNION else "struct"
    return f"{keyword} {bare.tag}" if bare.tag else keyword


def definition(
    type_: Type, *, offsets: bool = False, base: int | None = None, radix: int = 10
) -> Iterator[str]:
    """The lines of a structure's definition, as crash prints them.

    :param offsets: each member with its offset, those of members without a name too
    :param base: an address: offsets become addresses
    """
    yield f"{title(type_)} {{"
    bare = unaliased(type_)
    lines = [one for member in bare.members or () for one in declared(member, 1, 0)]
    labels = ["" if at is None else _label(at, base, radix) for at, _line in lines]
    width = max((len(label) for label in labels), default=0) + 2
    for label, (_at, line) in zip(labels, lines, strict=True):
        yield f"{label:>{width}} {line[4:]}" if offsets else line
    yield "}"
    yield f"SIZE: {_number(size_of(bare), radix)}"


def _label(offset: int, base: int | None, radix: int) -> str:
    return f"[{base + offset:x}]" if base is not None else f"[{_number(offset, radix)}]"


def _number(value: int, radix: int) -> str:
    return hex(value) if radix == 16 else str(value)


def declared(
    member: TypeMember, depth: int = 1, outer: int = 0
) -> Iterator[tuple[int | None, str]]:
    """The lines of a member's declaration, each with its offset where it declares one.

    What has no name of its own is written out; such a structure's name, if the member has one,
    stands behind its brace, and so does its offset.

    :param outer: offset of what ``member`` is in
    """
    pad = "    " * depth
    offset = outer + (member.bit_offset or 0) // 8
    type_ = member.type
    inner, wrap = _peeled(type_)
    name = member.name or ""
    bits = f" : {member.bit_field_size}" if member.bit_field_size else ""
    if inner.kind in AGGREGATES and not inner.tag and depth < _MOST_DEEP:
        keyword = "union" if inner.kind is TypeKind.UNION else "struct"
        yield None, f"{pad}{keyword} {{"
        for one in inner.members or ():
            yield from declared(one, depth + 1, offset)
        yield (offset if name else None), f"{pad}}}{' ' + wrap(name) if name else ''};"
        return
    if inner.kind is TypeKind.ENUM and not inner.tag:
        names = ", ".join(one.name for one in inner.enumerators or ())
        yield offset, f"{pad}enum {{{names}}} {wrap(name)}{bits};"
        return
    yield offset, f"{pad}{declare(type_, name)}{bits};"


def _peeled(type_: Type) -> tuple[Type, _Wrap]:
    wrap = _Wrap()
    while type_.kind in (TypeKind.ARRAY, TypeKind.POINTER):
        wrap.steps.append("*" if type_.kind is TypeKind.POINTER else f"[{_length(type_)}]")
        type_ = type_.type
    return type_, wrap


class _Wrap:
    """What stands around a name: stars before, brackets behind."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def __call__(self, name: str) -> str:
        for step in self.steps:
            name = f"*{name}" if step == "*" else name + step
        return name


def _length(type_: Type) -> str:
    return "" if type_.length is None else str(type_.length)


_GDB_NAMES = {
    "unsigned long": "unsigned long",
    "_Bool": "_Bool",
}


def declare(type_: Type, name: str = "") -> str:
    """C: ``name`` declared to be of ``type_``, in gdb's spacing (``char *name``)."""
    if type_.kind is TypeKind.POINTER:
        inner = type_.type
        star = f"*{_qualifiers(type_)}{name}"
        if inner.kind is TypeKind.ARRAY or inner.kind is TypeKind.FUNCTION:
            return declare(inner, f"({star})")
        return declare(inner, star)
    if type_.kind is TypeKind.ARRAY:
        return declare(type_.type, f"{name}[{_length(type_)}]")
    if type_.kind is TypeKind.FUNCTION:
        parameters = [declare(one.type) for one in type_.parameters]
        if type_.is_variadic:
            parameters.append("...")
        return declare(type_.type, f"{name}({', '.join(parameters) or 'void'})")
    base = _base_name(type_)
    return f"{base} {name}" if name else base


def _qualifiers(type_: Type) -> str:
    return " ".join(_qualifier_words(type_)) + (" " if _qualifier_words(type_) else "")


def _qualifier_words(type_: Type) -> list[str]:
    from drgn import Qualifiers

    words = [("const", Qualifiers.CONST), ("volatile", Qualifiers.VOLATILE)]
    return [word for word, bit in words if type_.qualifiers & bit]


def _base_name(type_: Type) -> str:
    words = _qualifier_words(type_)
    if type_.kind in (*AGGREGATES, TypeKind.ENUM):
        keyword = {TypeKind.UNION: "union", TypeKind.ENUM: "enum"}.get(type_.kind, "struct")
        words += [keyword, type_.tag or "{...}"]
    elif type_.kind is TypeKind.VOID:
        words.append("void")
    else:
        words.append(_GDB_NAMES.get(type_.name, type_.name))
    return " ".join(words)
