"""A structure in memory, as ``struct``, ``list -s``, ``tree -s`` and ``task`` show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drgn import FaultError, Object, Program, Type, TypeKind, TypeMember

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.types import AGGREGATES, aggregate, title, unaliased
from kautopsy.shell.types import declared as declared_member
from kautopsy.shell.values import Values

_MOST_DEEP = 24
_MEMBER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*")


@dataclass(frozen=True)
class Wanted:
    """``task_struct.pid,comm``: a type and the members to show, all where there are none."""

    name: str
    members: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """From ``name[.member[,member...]]``.

        :raises BadArgumentsError: it is not of that form
        """
        name, dot, rest = text.partition(".")
        members = tuple(part for part in rest.split(",") if part)
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or (dot and not members):
            raise BadArgumentsError("invalid structure or member", thing=text)
        for member in members:
            if not _MEMBER.fullmatch(member):
                raise BadArgumentsError("invalid member", thing=member)
        return cls(name, members)


def member_at(type_: Type, path: str) -> tuple[int, TypeMember]:
    """Offset in bytes and declaration of a member, as ``se.on_rq`` or ``pids[2]``.

    :raises CommandError: there is none
    """
    offset = 0
    found: TypeMember | None = None
    for step in re.findall(r"[A-Za-z_]\w*|\[\d+\]", path):
        bare = unaliased(type_)
        if step.startswith("["):
            if bare.kind is not TypeKind.ARRAY:
                raise CommandError("is no array", thing=path)
            from drgn import sizeof

            offset += int(step[1:-1]) * sizeof(bare.type)
            type_ = bare.type
            continue
        try:
            found = bare.member(step)
        except (LookupError, TypeError, AttributeError):
            raise CommandError(f"invalid member of {title(bare)}", thing=step) from None
        offset += (found.bit_offset or 0) // 8
        type_ = found.type
    if found is None:
        raise CommandError("invalid member", thing=path)
    return offset, found


def part_of(value: Object, path: str) -> Object:
    """The member ``path`` of a structure.

    :raises CommandError: there is none
    """
    member_at(value.type_, path)
    for step in re.findall(r"[A-Za-z_]\w*|\[\d+\]", path):
        value = value[int(step[1:-1])] if step.startswith("[") else value.member_(step)
    return value


def declared(type_: Type, members: Sequence[str], base: int | None, radix: int) -> Iterator[str]:
    """Some members with their offsets, or where they are when the structure is at ``base``."""
    yield f"{title(type_)} {{"
    for path in members:
        offset, member = member_at(type_, path)
        at = f"{base + offset:x}" if base is not None else hex(offset) if radix == 16 else offset
        lines = [line for _offset, line in declared_member(member)]
        label = f"[{at}]"
        yield f"{label:>8} {lines[0]}"
        yield from (" " * 9 + line for line in lines[1:])
    yield "}"


def shown(
    program: Program,
    wanted: Wanted,
    address: int,
    *,
    kind: str = "",
    radix: int = 10,
    pointed: bool = False,
) -> Iterator[str]:
    """The structure at ``address``, or the members that are wanted.

    :param pointed: what members point to is shown too
    :raises CommandError: no such structure or member, or the dump lacks the page
    """
    type_ = aggregate(program, wanted.name, kind)
    value = Object(program, type_, address=address)
    yield from shown_value(value, wanted, radix=radix, pointed=pointed)


def _open_ended(type_: Type, depth: int) -> bool:
    """Whether arrays without a length are in it: they are shown by where they are."""
    bare = unaliased(type_)
    if bare.kind is TypeKind.ARRAY:
        return not bare.length or _open_ended(bare.type, depth)
    return depth < _MOST_DEEP and any(
        _open_ended(one.type, depth + 1)
        for one in (bare.members or () if bare.kind in AGGREGATES else ())
    )


def shown_value(
    value: Object, wanted: Wanted, *, radix: int = 10, pointed: bool = False
) -> Iterator[str]:
    """As :func:`shown`, of an object."""
    values = Values(value.prog_, radix)
    whole = value.address_ is not None and not wanted.members
    if whole and _open_ended(value.type_, 0):
        value.prog_.read(value.address_ or 0, 1)  # at least the beginning must be there
    elif whole:
        try:
            value = value.read_()
        except FaultError:
            if not _any_readable(value):
                raise
        # A value that was read has no addresses; pointers and arrays are shown from it alike.
    if not wanted.members:
        yield f"{title(value.type_)} {{"
        yield from "\n".join(values.members(value, 2)).split("\n")
        yield "}"
        return
    for path in wanted.members:
        part = part_of(value, path)
        if pointed and unaliased(part.type_).kind is TypeKind.POINTER:
            yield from _pointed(values, part, path)
            continue
        yield from f"  {path} = {values.text(part, 2)},".split("\n")


def _any_readable(value: Object) -> bool:
    """Whether at least the first bytes are in the dump, so that members can be shown."""
    try:
        value.prog_.read(value.address_ or 0, 1)
    except READ_ERRORS:
        return False
    return True


def _pointed(values: Values, part: Object, path: str) -> Iterator[str]:
    from drgn import FaultError

    from kautopsy.shell.types import declare

    name = path.rpartition(".")[2]
    yield f"  {declare(part.type_, name)} = {values.text(part, 2)}"
    inner = unaliased(unaliased(part.type_).type)
    if not part or inner.kind not in (*AGGREGATES, TypeKind.INT, TypeKind.POINTER, TypeKind.ENUM):
        return
    try:
        text = values.text(part[0].read_(), 5)
    except FaultError as error:
        text = f"(cannot be read: {error.address:#x})"
    yield from f"  -> {text}".split("\n")
