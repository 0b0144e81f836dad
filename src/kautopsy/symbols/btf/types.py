"""BTF's types as drgn's, made when they are asked for.

Members of structures and parameters of functions are lazy, which is what breaks the cycles among
types and lets the first ``task_struct`` cost less than a millisecond.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cached_property

import drgn
from drgn import (
    Object,
    Program,
    Qualifiers,
    Type,
    TypeEnumerator,
    TypeKind,
    TypeMember,
    TypeParameter,
)

from kautopsy.symbols.btf.parse import Btf, BtfError, Kind

_MAX_DEPTH = 64
"""Types between a type and what it is of: ``const char *[4]`` has four. A bound for cycles."""

_KINDS = {
    Kind.INT: frozenset({TypeKind.INT, TypeKind.BOOL}),
    Kind.FLOAT: frozenset({TypeKind.FLOAT}),
    Kind.STRUCT: frozenset({TypeKind.STRUCT}),
    Kind.UNION: frozenset({TypeKind.UNION}),
    Kind.ENUM: frozenset({TypeKind.ENUM}),
    Kind.ENUM64: frozenset({TypeKind.ENUM}),
    Kind.TYPEDEF: frozenset({TypeKind.TYPEDEF}),
}
_QUALIFIERS = {
    Kind.CONST: Qualifiers.CONST,
    Kind.VOLATILE: Qualifiers.VOLATILE,
    Kind.RESTRICT: Qualifiers.RESTRICT,
}
_SIZED = frozenset({Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT})
_TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.TYPE_TAG, *_QUALIFIERS})
_INT_SIGNED, _INT_BOOL = 1, 4
_FWD_UNION = 1 << 31
_LOWEST_ENUMERATOR = 1 << 16
_SIGNED_CHARS = (drgn.Architecture.X86_64, drgn.Architecture.I386)
_SIGNED = {1: "signed char", 2: "short", 4: "int", 8: "long"}
_UNSIGNED = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}


class BtfTypes:
    """The types of one blob, and of the kernel's behind it if it is a module's."""

    def __init__(self, program: Program, btf: Btf, base: BtfTypes | None = None) -> None:
        self.program = program
        self.btf = btf
        self.base = base
        self._types: dict[int, Type] = {0: program.void_type()}
        self._depth = 0

    def find(self, name: str, kinds: drgn.TypeKindSet) -> Type | None:
        """The first type of that name and one of ``kinds``, or None.

        Twenty-odd names a kernel are of several types; the first is the one that was met first
        when the kernel was linked, as with DWARF.
        """
        for type_id in self.btf.ids(name):
            if type_id < self.btf.first_id:
                continue
            words, at = self.btf.locate(type_id)
            kind = Kind(words[at + 1] >> 24 & 0x1F)
            if not kinds & _KINDS.get(kind, frozenset()):
                continue
            found = self.type(type_id)
            if found.kind in kinds:
                return found
        return None

    def first(self, name: str, kind: Kind) -> int | None:
        """The id of the first type of that name and kind in this blob."""
        for type_id in self.btf.ids(name):
            words, at = self.btf.locate(type_id)
            if words[at + 1] >> 24 & 0x1F == kind:
                return type_id
        return None

    def referred(self, type_id: int) -> Type:
        """The type of a function's or a variable's record."""
        words, at = self.btf.locate(type_id)
        return self.type(words[at + 2])

    def constant(self, name: str) -> Object | None:
        """The enumerator ``name``, as an object of its enumeration's type."""
        found = self.btf.enumerator(name)
        if found is None:
            return None
        offset, type_id = found
        values = dict(reversed(self._enum_values(type_id)))
        return Object(self.program, self.type(type_id), value=values[offset])

    def type(self, type_id: int) -> Type:
        """The drgn type of ``type_id``.

        :raises BtfError: there is none such, or types refer to each other in a circle
        """
        found = self._types.get(type_id)
        if found is None:
            if self.base is not None and type_id < self.btf.first_id:
                return self.base.type(type_id)
            if self._depth > _MAX_DEPTH:
                raise BtfError(f"type {type_id} refers to itself")
            self._depth += 1
            try:
                found = self._make(type_id)
            finally:
                self._depth -= 1
            self._types[type_id] = found
        return found

    def _make(self, type_id: int) -> Type:
        words, at = self.btf.locate(type_id)
        name_offset, info, third = words[at], words[at + 1], words[at + 2]
        kind = Kind(info >> 24 & 0x1F)
        program = self.program
        if kind == Kind.PTR:
            return program.pointer_type(self.type(third))
        if kind in _QUALIFIERS:
            qualified = self.type(third)
            return qualified.qualified(qualified.qualifiers | _QUALIFIERS[kind])
        if kind == Kind.TYPE_TAG:
            return self.type(third)
        if kind == Kind.ARRAY:
            element, length = words[at + 3], words[at + 5]
            return program.array_type(self.type(element), length or None)
        if kind == Kind.FUNC_PROTO:
            return self._function(third, words[at + 3 : at + 3 + 2 * (info & 0xFFFF)].tolist())
        name = self.btf.string(name_offset) or None
        if kind == Kind.STRUCT or kind == Kind.UNION:
            make = program.struct_type if kind == Kind.STRUCT else program.union_type
            return make(name, third, self._members(type_id))
        if name is not None:
            if kind == Kind.INT:
                return self._int(name, third, words[at + 3] >> 24)
            if kind == Kind.FLOAT:
                return program.float_type(name, third)
            if kind == Kind.TYPEDEF:
                return program.typedef_type(name, self.type(third))
            if kind == Kind.FWD:
                return self._declared(name, union=bool(info & _FWD_UNION))
        if kind == Kind.ENUM or kind == Kind.ENUM64:
            return self._enum(type_id, name, third, signed=bool(info >> 31))
        raise BtfError(f"type {type_id} is of kind {kind.name}, which is none of C's")

    def _int(self, name: str, size: int, encoding: int) -> Type:
        if size not in (1, 2, 4, 8, 16):
            raise BtfError(f"an integer takes {size} bytes")
        if encoding & _INT_BOOL:
            return self.program.bool_type(name, size)
        signed = bool(encoding & _INT_SIGNED)
        if not signed and name in ("char", "signed char"):
            signed = name == "signed char" or self._old_chars
        return self.program.int_type(name, size, signed)

    @cached_property
    def _old_chars(self) -> bool:
        """Whether ``char`` is signed although its encoding does not say so.

        pahole before 1.22 leaves the sign out, even of ``signed char``. Kernels of that age are
        built with the ABI's ``char``, which is signed on x86; 6.2 and later say -funsigned-char
        (3bc753c06dd0).
        """
        if self.base is not None:
            return self.base._old_chars
        platform = self.program.platform
        type_id = self.first("signed char", Kind.INT)
        if type_id is None or platform is None or platform.arch not in _SIGNED_CHARS:
            return False
        words, at = self.btf.locate(type_id)
        return not words[at + 3] >> 24 & _INT_SIGNED

    @property
    def _signs_told(self) -> bool:
        return self.btf.signs_told if self.base is None else self.base._signs_told

    def _declared(self, name: str, *, union: bool) -> Type:
        """``struct name;`` of one file is the complete type if another file has just one."""
        kind = Kind.UNION if union else Kind.STRUCT
        complete = [i for i in self.btf.ids(name) if self._kind(i) == kind]
        if not complete and self.base is not None:
            complete = [i for i in self.base.btf.ids(name) if self.base._kind(i) == kind]
        if len(complete) == 1:
            return self.type(complete[0])
        return self.program.union_type(name) if union else self.program.struct_type(name)

    def _kind(self, type_id: int) -> int:
        words, at = self.btf.locate(type_id)
        return words[at + 1] >> 24 & 0x1F

    def _members(self, type_id: int) -> list[TypeMember]:
        words, at = self.btf.locate(type_id)
        info = words[at + 1]
        raw = words[at + 3 : at + 3 + 3 * (info & 0xFFFF)].tolist()
        union = info >> 24 & 0x1F == Kind.UNION
        self._check_members(type_id, raw, kind_flag=bool(info >> 31), union=union)
        string = self.btf.string
        made = []
        for i in range(0, len(raw), 3):
            name, member, offset = raw[i : i + 3]
            size = 0
            if info >> 31:
                size, offset = offset >> 24, offset & 0xFFFFFF
            flexible = i + 3 == len(raw) and not union
            made.append(
                TypeMember(
                    self._member(member, size, flexible=flexible), string(name) or None, offset
                )
            )
        return made

    def _check_members(self, type_id: int, raw: list[int], *, kind_flag: bool, union: bool) -> None:
        """Members do not overlap: a changed type or offset is seen before it is believed.

        :raises BtfError: they do
        """
        words, at = self.btf.locate(type_id)
        ends = [8 * words[at + 2]] * (len(raw) // 3)
        if not union:
            ends[:-1] = [offset & 0xFFFFFF if kind_flag else offset for offset in raw[5::3]]
        for i, end in enumerate(ends):
            member, offset = raw[3 * i + 1], raw[3 * i + 2]
            bits = 0
            if kind_flag:
                bits, offset = offset >> 24, offset & 0xFFFFFF
            # Before pahole 1.12 a bit-field is told by its type, an INT of fewer bits than bytes.
            if offset + (bits or self._bits(member)) > end:
                raise BtfError(f"members of type {type_id} overlap")

    def _bits(self, type_id: int) -> int:
        """The size of a type; 0 for what has none."""
        size = 1
        for _ in range(_MAX_DEPTH):
            if not type_id:
                return 0
            words, at = self.btf.locate(type_id)
            kind = words[at + 1] >> 24 & 0x1F
            if kind == Kind.INT:
                return size * (words[at + 3] & 0xFF)
            if kind in _SIZED:
                return size * 8 * words[at + 2]
            if kind == Kind.PTR:
                return size * self._pointer_bits
            if kind == Kind.ARRAY:
                size *= words[at + 5]
                type_id = words[at + 3]
            elif kind in _TRANSPARENT:
                type_id = words[at + 2]
            else:
                return 0
        raise BtfError(f"type {type_id} refers to itself")

    @cached_property
    def _pointer_bits(self) -> int:
        platform = self.program.platform
        wide = platform is None or platform.flags & drgn.PlatformFlags.IS_64_BIT
        return 64 if wide else 32

    def _member(
        self, type_id: int, bits: int, *, flexible: bool = True
    ) -> Callable[[], Type | Object]:
        if not bits:
            return lambda: self._lazily(type_id, flexible=flexible)
        return lambda: Object(self.program, self._lazily(type_id), bit_field_size=bits)

    def _lazily(self, type_id: int, *, flexible: bool = True) -> Type:
        # drgn asks for a member's type in the middle of whatever it does: depth begins anew.
        depth, self._depth = self._depth, 0
        try:
            found = self.type(type_id)
        except BtfError as error:
            raise LookupError(str(error)) from error
        finally:
            self._depth = depth
        if not flexible and found.kind is TypeKind.ARRAY and found.length is None:
            # `int a[]` and `int a[0]` are one in BTF, as in DWARF; only the last can be flexible.
            return self.program.array_type(found.type, 0)
        return found

    def _function(self, returned: int, raw: list[int]) -> Type:
        names, types = raw[::2], raw[1::2]
        variadic = bool(types) and types[-1] == 0 and names[-1] == 0
        if variadic:
            del names[-1], types[-1]
        parameters = [
            TypeParameter(self._member(type_id, 0), self.btf.string(name) or None)
            for name, type_id in zip(names, types, strict=True)
        ]
        return self.program.function_type(self.type(returned), parameters, variadic)

    def _enum(self, type_id: int, name: str | None, size: int, *, signed: bool) -> Type:
        values = self._enum_values(type_id)
        if not values:
            return self.program.enum_type(name)
        signed = signed or any(value < 0 for _, value in values)
        spelling = (_SIGNED if signed else _UNSIGNED).get(size)
        if spelling is None:
            raise BtfError(f"an enumeration takes {size} bytes")
        return self.program.enum_type(
            name,
            self.program.int_type(spelling, size, signed),
            [TypeEnumerator(self.btf.string(offset), value) for offset, value in values],
        )

    def _enum_values(self, type_id: int) -> list[tuple[int, int]]:
        """(name offset, value) of each enumerator."""
        words, at = self.btf.locate(type_id)
        info = words[at + 1]
        vlen = info & 0xFFFF
        if info >> 24 & 0x1F == Kind.ENUM64:
            raw = words[at + 3 : at + 3 + 3 * vlen].tolist()
            wide = [low | high << 32 for low, high in zip(raw[1::3], raw[2::3], strict=True)]
            if info >> 31:
                wide = [value - (value >> 63 << 64) for value in wide]
            return list(zip(raw[::3], wide, strict=True))
        raw = words[at + 3 : at + 3 + 2 * vlen].tolist()
        signed = struct.unpack(f"={vlen}i", struct.pack(f"={vlen}I", *raw[1::2]))
        # Where the sign is not told, it is guessed: -1 and -ENOENT are negative, 1 << 31 is not.
        lowest = min(signed, default=0)
        negative = bool(info >> 31) or (not self._signs_told and -_LOWEST_ENUMERATOR <= lowest < 0)
        return list(zip(raw[::2], signed if negative else raw[1::2], strict=True))
