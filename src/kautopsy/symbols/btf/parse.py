"""The tables of one BTF blob, checked but not interpreted.

Format: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. A header, then type records of
32-bit words (name offset, ``info``, size or type, then what the kind needs), then strings. A
module's blob is *split*: its type ids and string offsets continue those of the kernel's.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate

from kautopsy.model.errors import UnreadableError

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
    """One blob.

    :param words: the type section
    :param places: index into ``words`` of each type of this blob, in order of ids
    :param by_name: string offset → ids of the types of that name
    :param strings: the string section
    :param string_offsets: every string and its offset; pahole keeps each once
    :param base: the kernel's, for a module's
    """

    words: array[int]
    places: array[int]
    by_name: dict[int, list[int]]
    strings: bytes
    string_offsets: dict[bytes, int] = field(repr=False)
    base: Btf | None = field(default=None, repr=False)

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
        first = self.first_string
        if offset < first and self.base is not None:
            return self.base.string(offset)
        at = offset - first
        return self.strings[at : self.strings.index(b"\0", at)].decode("ascii")

    def ids(self, name: str) -> list[int]:
        """The ids of the types of this blob, not of its base, that have ``name``."""
        found: list[int] = []
        for offset in self.offsets(name):
            found += self.by_name.get(offset, ())
        return found

    def offsets(self, name: str) -> list[int]:
        """Where ``name`` is among the strings; a module's types may use the kernel's string."""
        encoded = name.encode("ascii", "replace")
        found = []
        blob: Btf | None = self if name else None
        while blob is not None:
            offset = blob.string_offsets.get(encoded)
            if offset is not None:
                found.append(offset)
            blob = blob.base
        return found

    def functions(self) -> set[str]:
        """The names of all functions of this blob."""
        words = self.words
        by_offset = {offset: text for text, offset in self.string_offsets.items()}
        names = [
            by_offset.get(words[at], b"")
            for at in self.places
            if words[at + 1] >> 24 & 0x1F == Kind.FUNC
        ]
        return set(b"\n".join(names).decode("ascii").split("\n")) - {""}

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


def parse(data: bytes, base: Btf | None = None) -> Btf:
    """Read and check the blob ``data``.

    :param base: the kernel's, where ``data`` is a module's
    :raises BtfError: not BTF, or it contradicts itself
    """
    order, type_off, type_len, str_off, str_len, hdr_len = _header(data)
    strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
    if len(strings) != str_len or not strings.endswith(b"\0") or type_len % 4:
        raise BtfError("its sections do not fit")
    if base is None and not strings.startswith(b"\0"):
        raise BtfError("its strings do not begin with the empty one")
    if strings.translate(None, _IDENTIFIER):
        raise BtfError("its strings have characters that no name has")
    words = array("I", data[hdr_len + type_off : hdr_len + type_off + type_len])
    if 4 * len(words) != type_len:
        raise BtfError("its sections do not fit")
    if (order == "<") != (sys.byteorder == "little"):
        words.byteswap()
    first_id = 1 if base is None else base.first_id + len(base.places)
    try:
        places, by_name, composites = _scan(words, first_id)
    except IndexError:
        raise BtfError("its last type is not complete") from None
    first_string = 0 if base is None else base.first_string + len(base.strings)
    string_offsets, starts = _strings(strings, first_string)
    btf = Btf(words, places, by_name, strings, string_offsets, base)
    _check(btf, composites, starts)
    return btf


def _scan(words: array[int], first_id: int) -> tuple[array[int], dict[int, list[int]], list[int]]:
    """Where the types are, their names, and which are structures and unions."""
    places = array("I")
    by_name: dict[int, list[int]] = {}
    composites: list[int] = []
    end = len(words)
    at = highest = 0
    type_id = first_id
    append = places.append
    kinds = len(_WORDS)
    struct_kind, union_kind = int(Kind.STRUCT), int(Kind.UNION)  # plain integers compare faster
    while at < end:
        append(at)
        name, info = words[at], words[at + 1]
        kind = info >> 24 & 0x1F
        if not 0 < kind < kinds:
            raise BtfError(f"type {type_id} is of kind {kind}")
        fixed, each, refers = _WORDS[kind]
        if name:
            if name in by_name:
                by_name[name].append(type_id)
            else:
                by_name[name] = [type_id]
        if refers:
            referred = words[at + 2]
            if referred > highest:
                highest = referred
        elif kind == struct_kind or kind == union_kind:  # noqa: SIM109
            composites.append(at)
        at += fixed + each * (info & 0xFFFF) if each else fixed
        type_id += 1
    if at != end:
        raise BtfError("its last type is not complete")
    if highest >= type_id:
        raise BtfError("a type refers to one that is not there")
    return places, by_name, composites


def _check(btf: Btf, composites: list[int], starts: set[int]) -> None:
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
    if btf.base is not None:
        starts.update(btf.base.string_offsets.values())
    if not (starts.issuperset(btf.by_name) and starts.issuperset(names)):
        raise BtfError("a name is not the beginning of a string")
    if types and max(types) >= btf.first_id + len(btf.places):
        raise BtfError("a member is of a type that is not there")


def _strings(strings: bytes, first: int) -> tuple[dict[bytes, int], set[int]]:
    """The offset of each string, the first of equal ones, and all offsets where one begins."""
    parts = strings.split(b"\0")
    del parts[-1]  # behind the last NUL
    offsets = list(accumulate([len(part) + 1 for part in parts[:-1]], initial=first))
    return dict(zip(reversed(parts), reversed(offsets), strict=True)), set(offsets)
