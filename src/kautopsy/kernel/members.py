"""Several members of a struct in one go: ten thousand tasks have each of theirs on a page or two.

An ``Object`` asks for one member at a time, and the dump decompresses a page again when others were
asked for in between. What lies near in the struct is read at once here.
"""

from __future__ import annotations

import struct
from typing import Any

from drgn import FaultError, Object, Program, Type, TypeKind, sizeof

_NEAR = 4096
"""Bytes between two members that are rather read along than left out: another read costs more."""
_BASE = 1 << 20


class Members:
    """Reads the members ``names`` of the structs of one type.

    Integers, enumerators and pointers are read as ``int``, everything else as ``bytes``; what this
    kernel has not, or the dump, as ``None``.

    :param kind: ``struct task_struct`` or another structure's name
    :param names: of its members; one within another with a dot
    :raises LookupError: this kernel has not the type
    :raises ValueError: a member is a bit field
    """

    def __init__(self, program: Program, kind: str, names: tuple[str, ...]) -> None:
        self._read = program.read
        whole = Object(program, kind, address=_BASE)
        places = sorted(
            (place, number, *_form(member.type_))
            for number, name in enumerate(names)
            for place, member in _find(whole, name)
        )
        spans: list[_Span] = []
        for offset, _, form, size in places:
            if spans and spans[-1].reaches(offset):
                spans[-1].add(offset, form, size)
            else:
                spans.append(_Span(offset, form, size))
        self._spans = [
            (one.offset, one.size, struct.Struct("=" + one.form).unpack, one.alone) for one in spans
        ]
        came = {number: at for at, (_, number, _, _) in enumerate(places)}
        self._order = [came.get(number, len(places)) for number in range(len(names))]

    def __call__(self, address: int) -> tuple[Any, ...]:
        """The members of the struct at ``address``, in the order of their names."""
        values: list[Any] = []
        for offset, size, unpack, alone in self._spans:
            try:
                values += unpack(self._read(address + offset, size))
            except (FaultError, OverflowError):
                values += [self._one(address, *one) for one in alone]
        values.append(None)
        return tuple([values[at] for at in self._order])

    def _one(self, address: int, offset: int, form: str, size: int) -> Any:
        try:
            return struct.unpack("=" + form, self._read(address + offset, size))[0]
        except (FaultError, OverflowError):
            return None


class _Span:
    """Members that are read together."""

    def __init__(self, offset: int, form: str, size: int) -> None:
        self.offset, self.form, self.size = offset, form, size
        self.alone = [(offset, form, size)]

    def reaches(self, offset: int) -> bool:
        return self.offset + self.size <= offset < self.offset + self.size + _NEAR

    def add(self, offset: int, form: str, size: int) -> None:
        gap = offset - self.offset - self.size
        self.form += f"{gap}x{form}"
        self.size += gap + size
        self.alone.append((offset, form, size))


def _find(whole: Object, name: str) -> list[tuple[int, Object]]:
    """The member ``name`` and its offset, nothing if there is none."""
    member = whole
    try:
        for part in name.split("."):
            member = member.member_(part)
    except (LookupError, AttributeError, TypeError):
        return []
    if member.bit_field_size_ is not None or member.address_ is None:
        raise ValueError(f"{name} is a bit field")
    return [(member.address_ - _BASE, member)]


def _form(kind: Type) -> tuple[str, int]:
    """``kind`` in the letters of :mod:`struct`, and its bytes."""
    while kind.kind == TypeKind.TYPEDEF:
        kind = kind.type
    size = int(sizeof(kind))
    letter = {1: "b", 2: "h", 4: "i", 8: "q"}.get(size)
    if letter and kind.kind in (TypeKind.INT, TypeKind.POINTER, TypeKind.ENUM, TypeKind.BOOL):
        signed = kind.kind == TypeKind.INT and kind.is_signed
        return (letter if signed else letter.upper()), size
    return f"{size}s", size
