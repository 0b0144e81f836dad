"""Values as gdb prints them (``set print pretty on``), which is how crash shows structures."""

from __future__ import annotations

from collections.abc import Iterator

from drgn import FaultError, Object, Program, Type, TypeKind

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.types import AGGREGATES, declare, size_of, unaliased

_ELEMENTS = 256
"""gdb's ``print elements``, as crash sets it; its ``print repeats`` is without limit there."""
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 27: "\\033"}


class Values:
    """Formats objects of one program.

    :param radix: 10 or 16, for integers; pointers are hexadecimal
    """

    def __init__(self, program: Program, radix: int = 10) -> None:
        self._program = program
        self._radix = radix
        self._symbols: dict[int, str] = {}

    def text(self, value: Object, depth: int = 0) -> str:
        """``value``, over several lines where it is a structure.

        :param depth: of the line it begins on; a structure's members are two columns further in
        """
        type_ = unaliased(value.type_)
        kind = type_.kind
        if kind in AGGREGATES:
            return self._aggregate(value, type_, depth)
        if kind is TypeKind.ARRAY:
            return self._array(value, type_, depth)
        if kind is TypeKind.POINTER:
            return self._pointer(value, type_)
        if kind is TypeKind.BOOL:
            return "true" if value.value_() else "false"
        if kind is TypeKind.ENUM:
            return self._enum(int(value.value_()), type_)
        if kind is TypeKind.FLOAT:
            return repr(value.value_())
        if kind is TypeKind.FUNCTION:
            return f"{{{declare(type_)}}} {value.address_:#x}{self.symbol(value.address_ or 0)}"
        if kind is TypeKind.VOID:
            return "void"
        number = int(value.value_())
        # gdb shows a lone char as number and character.
        if is_character(type_) and self._radix != 16:
            return f"{self.number(number, size_of(type_))} {_character(number & 0xFF)}"
        return self.number(number, size_of(type_))

    def number(self, value: int, size: int = 8) -> str:
        """An integer in the session's radix; hexadecimal negatives as their bits."""
        if self._radix == 16:
            return hex(value & ((1 << (8 * size)) - 1)) if value < 0 else hex(value)
        return str(value)

    def symbol(self, address: int) -> str:
        """`` <init_task+168>``, or '' where no symbol covers ``address``."""
        if address < 0x1000:
            return ""
        known = self._symbols.get(address)
        if known is None:
            try:
                found = self._program.symbol(address)
            except LookupError:
                known = ""
            else:
                offset = address - found.address
                known = f" <{found.name}+{offset}>" if offset else f" <{found.name}>"
            self._symbols[address] = known
        return known

    def members(self, value: Object, depth: int) -> Iterator[str]:
        """A structure's members, a line or more each, indented by ``depth``."""
        type_ = unaliased(value.type_)
        pad = " " * depth
        members = type_.members or ()
        for at, member in enumerate(members):
            comma = "," if at < len(members) - 1 else ""
            try:
                part = _member(value, member.name, type_, at)
                shown = self.text(part, depth)
            except (FaultError, *READ_ERRORS) as error:
                shown = _unreadable(error)
            name = f"{member.name} = " if member.name else ""
            yield f"{pad}{name}{shown}{comma}"

    def _aggregate(self, value: Object, type_: Type, depth: int) -> str:
        if not type_.is_complete():
            return "<incomplete type>"
        if not type_.members:
            return "{<No data fields>}"
        lines = list(self.members(value, depth + 2))
        return "{\n" + "\n".join(lines) + "\n" + " " * depth + "}"

    def _array(self, value: Object, type_: Type, depth: int) -> str:
        length = type_.length or 0
        inner = unaliased(type_.type)
        if length == 0:
            if is_character(inner) and value.address_ is not None and not depth:
                # A variable whose declaration leaves the length open (linux_banner).
                return quoted(self._program.read_c_string(value.address_, max_size=4096))
            if is_character(inner) and value.address_ is not None:
                return f"{value_address(value)} {self._string_at(value.address_)}"
            return value_address(value)
        if is_character(inner):
            return quoted(_raw(value, length), cut=length > _ELEMENTS)
        count = min(length, _ELEMENTS)
        shown = ", ".join(self.text(value[at], depth + 2) for at in range(count))
        return "{" + shown + ("...}" if length > count else "}")

    def _pointer(self, value: Object, type_: Type) -> str:
        address = int(value.value_())
        inner = unaliased(type_.type)
        if address and is_character(inner):
            shown = self._string_at(address)
            where = "" if shown.startswith("<error") else self.symbol(address)
            return f"{address:#x}{where} {shown}"
        return f"{address:#x}{self.symbol(address)}"

    def _string_at(self, address: int) -> str:
        """The C string at an address, cut where gdb cuts it."""
        try:
            raw = self._program.read_c_string(address, max_size=_ELEMENTS)
        except (FaultError, *READ_ERRORS):
            return f"<error: Cannot access memory at address {address:#x}>"
        return quoted(raw, cut=True) if len(raw) >= _ELEMENTS else quoted(raw + bytes(1))

    def _enum(self, number: int, type_: Type) -> str:
        enumerators = type_.enumerators or ()
        for one in enumerators:
            if one.value == number:
                return str(one.name)
        flags = all(one.value and one.value & (one.value - 1) == 0 for one in enumerators)
        if enumerators and flags and number > 0:
            names = [one.name for one in enumerators if one.value & number]
            rest = number & ~sum(one.value for one in enumerators)
            if names and not rest:
                return f"({' | '.join(names)})"
            if names:
                return f"({' | '.join(names)} | unknown: {rest:#x})"
        return self.number(number, size_of(type_))


def _member(value: Object, name: str | None, type_: Type, at: int) -> Object:
    if name is not None:
        return value.member_(name)
    # A member without a name has no way in but by its offset.
    assert type_.members is not None
    member = type_.members[at]
    offset = member.bit_offset or 0
    if value.address_ is not None:
        return Object(value.prog_, member.type, address=value.address_ + offset // 8)
    raw = value.to_bytes_()
    return Object.from_bytes_(value.prog_, member.type, raw, bit_offset=offset)


def _raw(value: Object, length: int) -> bytes:
    count = min(length, _ELEMENTS)
    if value.address_ is not None:
        return bytes(value.prog_.read(value.address_, count))
    return bytes(value.to_bytes_()[:count])


def value_address(value: Object) -> str:
    """How gdb shows a flexible array: by where it is."""
    return hex(value.address_) if value.address_ is not None else "{}"


def is_character(type_: Type) -> bool:
    """Whether gdb prints an array of ``type_`` as a string: the char types, not bool."""
    return type_.kind is TypeKind.INT and type_.size == 1 and "char" in type_.name


def quoted(raw: bytes, *, cut: bool = False) -> str:
    r"""A C string as gdb shows it: ``"sh\\000\\000"``, one zero at the end left out."""
    if not cut and raw.endswith(b"\0"):
        raw = raw[:-1]
    text = "".join(_escaped(byte, '"') for byte in raw)
    return f'"{text}"' + ("..." if cut else "")


def _character(byte: int) -> str:
    return f"'{_escaped(byte, chr(39))}'"


def _escaped(byte: int, quote: str) -> str:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if chr(byte) in (quote, "\\"):
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _unreadable(error: BaseException) -> str:
    if isinstance(error, FaultError):
        return f"<error: Cannot access memory at address {error.address:#x}>"
    return f"<error: {error}>"
