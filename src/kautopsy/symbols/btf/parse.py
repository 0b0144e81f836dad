"""The tables of one BTF blob, checked but not interpreted.

Format: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. A header, then type records of
32-bit words (name offset, ``info``, size or type, then what the kind needs), then strings. A
module's blob is *split*: its type ids and string offsets continue those of the kernel's.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate, takewhile

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.cache import TableCache

MAGIC = 0xEB9F
_HEADER = "HBBIIIII"
_MAX_SIZE = 256 << 20


class BtfError(UnreadableError):
    """Not BTF, or not what ``pahole`` writes."""

    slug = "bad-btf"


class Kind(IntEnum):
    """``BTF_KIND_*``."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


# Of each kind: words of a record, more words for each of its vlen entries, and whether the third
# word is another type's id.
_WORDS = [
    (3, 0, False),  # void has no record
    (4, 0, False),  # INT
    (3, 0, True),  # PTR
    (6, 0, False),  # ARRAY
    (3, 3, False),  # STRUCT
    (3, 3, False),  # UNION
    (3, 2, False),  # ENUM
    (3, 0, False),  # FWD
    (3, 0, True),  # TYPEDEF
    (3, 0, True),  # VOLATILE
    (3, 0, True),  # CONST
    (3, 0, True),  # RESTRICT
    (3, 0, True),  # FUNC
    (3, 2, True),  # FUNC_PROTO
    (4, 0, True),  # VAR
    (3, 3, False),  # DATASEC
    (3, 0, False),  # FLOAT
    (4, 0, True),  # DECL_TAG
    (3, 0, True),  # TYPE_TAG
    (3, 3, False),  # ENUM64
]
_IDENTIFIER = bytes(range(0x20, 0x7F)) + b"\0"


@dataclass(frozen=True)
class Btf:
    """One blob. Names are found by bisection: most are never asked for.

    :param words: the type section
    :param places: index into ``words`` of each type of this blob, in order of ids
    :param named: ids of the types that have names, in order of these and then of ids
    :param enumerators: string offset of each enumerator's name, in their order
    :param enumerations: the id of the enumeration each of ``enumerators`` is of
    :param function_names: string offset of each function's name
    :param signs_told: whether ``info``'s top bit tells signed enumerations from others, as pahole
        1.24's
    :param strings: the string section
    :param base: the kernel's, for a module's
    :param key: that of the index in the cache; empty for a module's
    """

    words: array[int]
    places: array[int]
    named: array[int]
    enumerators: array[int]
    enumerations: array[int]
    function_names: array[int]
    signs_told: bool
    strings: bytes = field(repr=False)
    base: Btf | None = field(default=None, repr=False)
    key: str = ""

    @property
    def first_id(self) -> int:
        """The id of the first type here: 1, or one more than the base's last."""
        return 1 if self.base is None else self.base.first_id + len(self.base.places)

    @property
    def first_string(self) -> int:
        """The offset of the first string here."""
        base = self.base
        return 0 if base is None else base.first_string + len(base.strings)

    def string(self, offset: int) -> str:
        """The string at ``offset``; empty for what has no name."""
        return self._bytes(offset).decode("ascii")

    def _bytes(self, offset: int) -> bytes:
        at = offset - self.first_string
        if at < 0 and self.base is not None:
            return self.base._bytes(offset)
        return self.strings[at : self.strings.index(b"\0", at)]

    def _name_of(self, type_id: int) -> bytes:
        return self._bytes(self.words[self.places[type_id - self.first_id]])

    def begins(self, offset: int) -> bool:
        """Whether a string begins at ``offset``."""
        at = offset - self.first_string
        if at < 0:
            return self.base is not None and self.base.begins(offset)
        return at == 0 or (at < len(self.strings) and self.strings[at - 1] == 0)

    def ids(self, name: str) -> list[int]:
        """The ids of the types of this blob, not of its base, that have ``name``; in order."""
        wanted = name.encode("ascii", "replace")
        at = bisect_left(self.named, wanted, key=self._name_of)
        ids = map(self.named.__getitem__, range(at, len(self.named)))
        return list(takewhile(lambda type_id: self._name_of(type_id) == wanted, ids))

    def enumerator(self, name: str) -> tuple[int, int] | None:
        """Name offset of the enumerator ``name`` and the id of its enumeration, the first such."""
        wanted = name.encode("ascii", "replace")
        at = bisect_left(self.enumerators, wanted, key=self._bytes)
        if at < len(self.enumerators) and self._bytes(self.enumerators[at]) == wanted:
            return self.enumerators[at], self.enumerations[at]
        return None

    def functions(self) -> set[str]:
        """The names of all functions of this blob."""
        names = b"\n".join(_texts(self, self.function_names, _strings(self)))
        return set(names.decode("ascii").split("\n")) - {""}

    def locate(self, type_id: int) -> tuple[array[int], int]:
        """The words in which type ``type_id`` is, and its index among them.

        :raises BtfError: there is no such type
        """
        at = type_id - self.first_id
        if 0 <= at < len(self.places):
            return self.words, self.places[at]
        if at < 0 < type_id and self.base is not None:
            return self.base.locate(type_id)
        raise BtfError(f"there is no type {type_id}")


def size_of(header: bytes) -> int:
    """The whole blob's size in bytes, from its first 24.

    :raises BtfError: not a header
    """
    _, type_off, type_len, str_off, str_len, hdr_len = _header(header)
    return hdr_len + max(type_off + type_len, str_off + str_len)


def _header(data: bytes) -> tuple[str, int, int, int, int, int]:
    for order in "<>":
        if len(data) < 24:
            break
        magic, version, flags, hdr_len, *places = struct.unpack_from(order + _HEADER, data)
        if magic == MAGIC:
            if version != 1 or flags or not 24 <= hdr_len <= 256 or max(places) > _MAX_SIZE:
                raise BtfError("its header makes no sense")
            return order, places[0], places[1], places[2], places[3], hdr_len
    raise BtfError("does not begin with a BTF header")


def parse(data: bytes, base: Btf | None = None, *, cache: TableCache | None = None) -> Btf:
    """Read and check the blob ``data``.

    :param base: the kernel's, where ``data`` is a module's
    :param cache: where its index may be, and that it was found good
    :raises BtfError: not BTF, or it contradicts itself
    """
    order, type_off, type_len, str_off, str_len, hdr_len = _header(data)
    strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
    types = data[hdr_len + type_off : hdr_len + type_off + type_len]
    if len(strings) != str_len or len(types) != type_len or type_len % 4:
        raise BtfError("its sections do not fit")
    words = array("I", types)
    if (order == "<") != (sys.byteorder == "little"):
        words.byteswap()
    cache = cache or TableCache(None)
    key = cache.key("btf", data) if base is None else ""
    index = _Index.kept(cache.get(key)) if key else None
    if index is not None:
        return index.btf(words, strings, base, key)
    if not strings.endswith(b"\0"):
        raise BtfError("its sections do not fit")
    if base is None and not strings.startswith(b"\0"):
        raise BtfError("its strings do not begin with the empty one")
    if strings.translate(None, _IDENTIFIER):
        raise BtfError("its strings have characters that no name has")
    first_id = 1 if base is None else base.first_id + len(base.places)
    index = _Index()
    try:
        composites = _scan(words, first_id, index)
    except IndexError:
        raise BtfError("its last type is not complete") from None
    btf = index.btf(words, strings, base, key)
    strings_at = _strings(btf)
    _check(btf, composites, strings_at)
    index.sort(btf, strings_at)
    if key:
        cache.put(key, index.to_keep())
    return btf


_ARRAYS = ("places", "named", "enumerators", "enumerations", "function_names")


@dataclass
class _Index:
    """What one pass over all types finds, as :class:`Btf` has it."""

    places: array[int] = field(default_factory=lambda: array("I"))
    named: array[int] = field(default_factory=lambda: array("I"))
    enumerators: array[int] = field(default_factory=lambda: array("I"))
    enumerations: array[int] = field(default_factory=lambda: array("I"))
    function_names: array[int] = field(default_factory=lambda: array("I"))
    signs_told: bool = False

    def btf(self, words: array[int], strings: bytes, base: Btf | None, key: str) -> Btf:
        return Btf(
            words,
            self.places,
            self.named,
            self.enumerators,
            self.enumerations,
            self.function_names,
            self.signs_told,
            strings,
            base,
            key,
        )

    def sort(self, btf: Btf, strings_at: dict[int, bytes]) -> None:
        """Put what has names in their order, in place; of equal names the order stays."""
        names = _texts(btf, _names_of(btf), strings_at)
        _sort(names, self.named)
        names = _texts(btf, self.enumerators, strings_at)
        _sort(names, self.enumerators, self.enumerations)

    def to_keep(self) -> tuple[object, ...]:
        return (self.signs_told, *(getattr(self, name).tobytes() for name in _ARRAYS))

    @classmethod
    def kept(cls, value: object) -> _Index | None:
        match value:
            case (bool(told), *parts) if len(parts) == len(_ARRAYS):
                index = cls(signs_told=told)
                for name, part in zip(_ARRAYS, parts, strict=True):
                    getattr(index, name).frombytes(part)
                return index
        return None


def _scan(words: array[int], first_id: int, index: _Index) -> list[int]:
    """Fill ``index``; returns where structures and unions are."""
    composites: list[int] = []
    end = len(words)
    at = highest = 0
    type_id = first_id
    append, named = index.places.append, index.named.append
    kinds = len(_WORDS)
    # Plain integers compare faster.
    struct_kind, union_kind, func_kind = int(Kind.STRUCT), int(Kind.UNION), int(Kind.FUNC)
    enum_kind = int(Kind.ENUM)
    enum_kinds = (enum_kind, int(Kind.ENUM64))
    while at < end:
        append(at)
        name, info = words[at], words[at + 1]
        kind = info >> 24 & 0x1F
        if not 0 < kind < kinds:
            raise BtfError(f"type {type_id} is of kind {kind}")
        fixed, each, refers = _WORDS[kind]
        if name:
            named(type_id)
        if refers:
            referred = words[at + 2]
            if referred > highest:
                highest = referred
            if kind == func_kind:
                index.function_names.append(name)
        elif kind == struct_kind or kind == union_kind:  # noqa: SIM109
            composites.append(at)
        elif kind in enum_kinds:
            names = words[at + 3 : at + 3 + each * (info & 0xFFFF) : each]
            index.enumerators.extend(names)
            index.enumerations.extend([type_id] * len(names))
            index.signs_told |= bool(info >> 31) and kind == enum_kind
        at += fixed + each * (info & 0xFFFF) if each else fixed
        type_id += 1
    if at != end:
        raise BtfError("its last type is not complete")
    if highest >= type_id:
        raise BtfError("a type refers to one that is not there")
    return composites


def _check(btf: Btf, composites: list[int], strings_at: dict[int, bytes]) -> None:
    """Names point at the beginnings of strings, members have types and lie in their structures.

    Damage to a dump rarely leaves all of that intact; what it leaves is a name or an offset that is
    another valid one.
    """
    words = btf.words
    names = array("I")
    types = array("I")
    for at in composites:
        info, size = words[at + 1], words[at + 2]
        members = words[at + 3 : at + 3 + 3 * (info & 0xFFFF)]
        names += members[::3]
        types += members[1::3]
        offsets = members[2::3]
        if offsets:
            in_order = offsets.tolist()
            if info >> 31:
                in_order = [offset & 0xFFFFFF for offset in in_order]
            if in_order[-1] > (8 * size if info >> 24 & 0x1F == Kind.STRUCT else 0):
                raise BtfError("a member lies outside its structure")
            if in_order != sorted(in_order):
                raise BtfError("the members of a structure are not in order")
    others = {*names, *_names_of(btf), *btf.enumerators}.difference(strings_at)
    if not all(map(btf.begins, others)):  # the kernel's, in a module's types: few
        raise BtfError("a name is not the beginning of a string")
    if types and max(types) >= btf.first_id + len(btf.places):
        raise BtfError("a member is of a type that is not there")


def _strings(btf: Btf) -> dict[int, bytes]:
    """Each string of this blob by its offset: where most are wanted."""
    parts = btf.strings.split(b"\0")
    del parts[-1]  # behind the last NUL
    lengths = [len(part) + 1 for part in parts[:-1]]
    return dict(zip(accumulate(lengths, initial=btf.first_string), parts, strict=True))


def _texts(btf: Btf, offsets: Iterable[int], strings_at: dict[int, bytes]) -> list[bytes]:
    """The strings at ``offsets``; the kernel's, in a module's types, are not in ``strings_at``."""
    return [strings_at[at] if at in strings_at else btf._bytes(at) for at in offsets]


def _names_of(btf: Btf) -> list[int]:
    """String offset of the name of each of ``btf.named``."""
    words, places, first = btf.words, btf.places, btf.first_id
    return [words[places[type_id - first]] for type_id in btf.named]


def _sort(names: list[bytes], *parallel: array[int]) -> None:
    order = sorted(range(len(names)), key=names.__getitem__)
    for part in parallel:
        part[:] = array("I", [part[i] for i in order])
