"""The kernel's own symbol table, decoded out of its memory.

``scripts/kallsyms.c`` compresses every name, its type letter first, into bytes that each stand for
one of 256 tokens. Tables: ``kallsyms_names`` (a length, then that many tokens, a symbol),
``kallsyms_token_table`` (256 NUL-terminated strings), ``kallsyms_token_index`` (``u16`` offsets
into it), ``kallsyms_num_syms`` (``unsigned int``, before 4.20 ``unsigned long``) and the addresses
in one of the forms of :func:`_addresses`. VMCOREINFO names them since 6.0 (f09bddbd8661
"vmcoreinfo: add kallsyms_num_syms symbol"); for older kernels :mod:`.kallsyms_scan` finds them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import drgn

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.cache import TableCache

ReadMemory = Callable[[int, int], bytes]
"""``(virtual address, size) -> bytes``; raises where the dump has no such memory."""

MAX_SYMBOLS = 2_000_000
"""Many times what any kernel has: a bound for what a damaged count may ask for."""

_MAX_NAME = 512  # KSYM_NAME_LEN, since 6.1 (b8a94bfb3395 "kallsyms: increase maximum...")
_MAX_IMAGE = 1 << 31  # offsets are 32 bits wide
_END_OF_NAME, _NOTHING = 256, 257
_UTF_16 = "utf-16-le" if sys.byteorder == "little" else "utf-16-be"
_CHARACTERS = frozenset(range(0x21, 0x7F))
_KINDS = frozenset("aAbBcCdDgGiInNpPrRsStTuUvVwW?-")


class KallsymsError(UnreadableError):
    """The tables are not there, or not what ``scripts/kallsyms.c`` writes."""

    slug = "bad-kallsyms"


@dataclass(frozen=True)
class Tables:
    """Where the tables lie: virtual addresses.

    :param offsets: ``int kallsyms_offsets[]``, or 0
    :param relative_base: ``unsigned long kallsyms_relative_base``, or 0
    :param addresses: ``unsigned long kallsyms_addresses[]``, or 0
    """

    names: int
    num_syms: int
    token_table: int
    token_index: int
    offsets: int = 0
    relative_base: int = 0
    addresses: int = 0

    @classmethod
    def of(cls, info: VmcoreInfo) -> Tables | None:
        """The tables that VMCOREINFO names, or None before 6.0."""
        found = {
            name: vmcoreinfo_symbol(info, f"kallsyms_{name}") or 0
            for name in cls.__dataclass_fields__
        }
        if not all(found[name] for name in ("names", "num_syms", "token_table", "token_index")):
            return None
        return cls(**found)


@dataclass(frozen=True)
class Kallsyms:
    """All symbols in the table's order, which is that of addresses but for per-CPU ones.

    :param names: without the type letter
    :param kinds: the type letters as ``nm`` gives them, one a symbol
    :param addresses: ``array('Q')``
    :param order: the indices in the order of names and then of indices; made where not given
    :param key: that of names and kinds in the cache; empty where they did not come from memory
    """

    names: list[str]
    kinds: str
    addresses: array[int]
    order: array[int] = field(default_factory=lambda: array("I"))
    key: str = ""

    def __post_init__(self) -> None:
        if len(self.order) != len(self.names):
            order = sorted(range(len(self.names)), key=self.names.__getitem__)
            object.__setattr__(self, "order", array("I", order))

    def __len__(self) -> int:
        return len(self.names)


def vmcoreinfo_symbol(info: VmcoreInfo, name: str) -> int | None:
    """The address in VMCOREINFO's line ``SYMBOL(name)=``."""
    value = info.get(f"SYMBOL({name})")
    try:
        return int(value, 16) if value else None
    except ValueError:
        return None


def load(
    read: ReadMemory,
    tables: Tables,
    *,
    stext: int | None,
    big_endian: bool = False,
    cache: TableCache | None = None,
) -> Kallsyms:
    """Decode the tables.

    :param stext: the address of ``_stext`` that VMCOREINFO gives; the tables must agree
    :param cache: where names may be that were decoded from the same bytes before
    :raises KallsymsError: the dump lacks them, they contradict themselves or ``stext``
    """
    order = ">" if big_endian else "<"
    try:
        (count,) = struct.unpack(order + "I", read(tables.num_syms, 4))
        if not 0 < count <= MAX_SYMBOLS:
            raise KallsymsError(f"they claim to have {count} symbols")
        raw = _Raw.read(read, tables, count, order)
        cache = cache or TableCache(None)
        key = cache.key("kallsyms", repr(raw).encode(), raw.blob, raw.index, raw.table)
        cached = _kept(cache.get(key), count)
        names, kinds, by_name = cached or (*_names(raw), array("I"))
        found = Kallsyms(names, kinds, _addresses(read, tables, count, order, stext), by_name, key)
        _check(found, stext)
        if cached is None:
            cache.put(key, ("\n".join(names), kinds, found.order.tobytes()))
    except (LookupError, ValueError, OverflowError, struct.error, drgn.FaultError) as error:
        raise KallsymsError(f"the tables cannot be read: {error}") from error
    return found


@dataclass(frozen=True)
class _Raw:
    """The bytes that names are decoded from.

    :param place: the address of ``kallsyms_names``, as far as it matters for alignment
    """

    count: int
    order: str
    place: int
    blob: bytes = field(repr=False)
    index: bytes = field(repr=False)
    table: bytes = field(repr=False)

    @classmethod
    def read(cls, read: ReadMemory, tables: Tables, count: int, order: str) -> _Raw:
        index = read(tables.token_index, 512)
        # The last token is at most as long as a name.
        (last,) = struct.unpack_from(order + "H", index, 510)
        table = read(tables.token_table, last + _MAX_NAME)
        # _names, _markers, (_seqs_of_names,) _token_table follow each other in every version.
        size = tables.token_table - tables.names
        if not 0 < size <= 64 * count + 4096:
            raise KallsymsError(f"the names of {count} symbols cannot take {size} bytes")
        return cls(count, order, tables.names % 8, read(tables.names, size), index, table)


def _kept(value: object, count: int) -> tuple[list[str], str, array[int]] | None:
    """Names, type letters and the order of names as they were cached."""
    match value:
        case (str(text), str(kinds), bytes(order)):
            names = text.split("\n")
            if len(names) == len(kinds) == count:
                return names, kinds, array("I", order)
    return None


def _tokens(raw: _Raw) -> list[str]:
    """The 256 strings.

    :raises KallsymsError: an index does not point at the beginning of its string
    """
    tokens = []
    at = 0
    table = raw.table
    for i, start in enumerate(struct.unpack(raw.order + "256H", raw.index)):
        if start != at:
            raise KallsymsError(f"token {i} is not where the index says")
        end = table.find(b"\0", at)
        if end < 0:
            raise KallsymsError(f"token {i} has no end")
        token = table[at:end]
        if not _CHARACTERS.issuperset(token):
            raise KallsymsError(f"token {i} has characters that no symbol has")
        tokens.append(token.decode("ascii"))
        at = end + 1
    return tokens


def _names(raw: _Raw) -> tuple[list[str], str]:
    """Names and type letters of all symbols."""
    tokens = _tokens(raw)
    blob, count, order = raw.blob, raw.count, raw.order
    codes = array("H", blob.decode("latin-1").encode(_UTF_16))
    starts = []
    at = 0
    for _ in range(count):
        starts.append(at)
        length = blob[at]
        codes[at] = _END_OF_NAME
        if length >= 0x80:
            # ULEB128 since 6.1 (73bbb94466fd "kallsyms: support "big" kernel symbols").
            codes[at + 1] = _NOTHING
            length = (length & 0x7F | blob[at + 1] << 7) + 1
        at += length + 1
    # A changed length shifts all that follows; the markers, one in 256 symbols, show it.
    markers = struct.pack(f"{order}{len(starts[::256])}I", *starts[::256])
    wide_markers = struct.pack(f"{order}{len(starts[::256])}Q", *starts[::256])  # before 4.20
    tail = blob[at:]
    found = tail.find(markers, 0, 8 + len(markers))
    if found < 0 and tail.find(wide_markers, 0, 8 + len(wide_markers)) < 0:
        raise KallsymsError("the lengths of names do not agree with kallsyms_markers")
    # One pass of str.translate() over everything is several times as fast as joining each name.
    text = codes[:at].tobytes().decode(_UTF_16).translate([*tokens, "\n", ""])
    names = text.split("\n")
    del names[0]
    if len(names) != count or not all(names) or max(map(len, names)) > _MAX_NAME:
        raise KallsymsError("a name has no or too many characters")
    kinds = "".join([name[0] for name in names])
    if not _KINDS.issuperset(kinds):
        raise KallsymsError("a symbol's type letter is none that nm prints")
    names = [name[1:] for name in names]
    if found >= 0:
        end = found + len(markers)
        # Each table begins where 8 divides its address (ALGN in scripts/kallsyms.c, on 64 bit).
        aligned = end + -(raw.place + at + end) % 8
        _check_order(names, [tail[start:] for start in {end, aligned}])
    return names, kinds


def _check_order(names: list[str], tails: list[bytes]) -> None:
    """Hold the names against ``kallsyms_seqs_of_names``, which sorts them (since 6.2).

    Three bytes a name, big-endian, after the markers (60443c88f3a8 "kallsyms: Improve the
    performance of kallsyms_lookup_name()"). Most damage to a name puts it out of order.

    :param tails: where the table may begin; one that fits is enough
    """
    size = 3 * len(names)
    fitting = [tail for tail in tails if size <= len(tail) < size + 16]
    if not fitting:
        return  # no such table
    ordered: list[str] = []
    for tail in fitting:
        seqs = zip(tail[0:size:3], tail[1:size:3], tail[2:size:3], strict=True)
        try:
            ordered = [names[high << 16 | middle << 8 | low] for high, middle, low in seqs]
        except IndexError:
            continue
        if ordered == sorted(ordered):
            return
        # Kernels of clang's LTO were sorted without the suffixes that it adds.
        short = [name.partition(".")[0] for name in ordered]
        if short == sorted(short):
            return
    if not ordered:
        raise KallsymsError("kallsyms_seqs_of_names points beyond the names")
    raise KallsymsError("the names are not in the order of kallsyms_seqs_of_names")


def _addresses(
    read: ReadMemory, tables: Tables, count: int, order: str, stext: int | None
) -> array[int]:
    """The address of each symbol, from whichever form this kernel has.

    1. ``kallsyms_addresses``, before 4.6 or without CONFIG_KALLSYMS_BASE_RELATIVE.
    2. ``int kallsyms_offsets[]`` and ``kallsyms_relative_base``, since 4.6 (2213e9a66bb8). With
       CONFIG_KALLSYMS_ABSOLUTE_PERCPU (x86 SMP, until 6.15) offsets that are not negative are
       addresses themselves and the others ``relative_base - 1 - offset``; without it they are
       unsigned distances from the base.
    3. No base at all: each offset counts from its own place (7.x).
    """
    if tables.addresses:
        return array("Q", struct.unpack(f"{order}{count}Q", read(tables.addresses, 8 * count)))
    if not tables.offsets:
        raise KallsymsError("there is no table of addresses")
    offsets = struct.unpack(f"{order}{count}i", read(tables.offsets, 4 * count))
    if not tables.relative_base:
        places = range(tables.offsets, tables.offsets + 4 * count, 4)
        return array("Q", [p + offset for p, offset in zip(places, offsets, strict=True)])
    (base,) = struct.unpack(order + "Q", read(tables.relative_base, 8))
    if base != stext and stext is not None and abs(base - stext) > _MAX_IMAGE:
        raise KallsymsError(f"kallsyms_relative_base is {base:#x}, _stext {stext:#x}")
    if min(offsets) < 0:
        return array("Q", [o if o >= 0 else base - 1 - o for o in offsets])
    return array("Q", [base + o for o in offsets])


def _check(found: Kallsyms, stext: int | None) -> None:
    addresses = found.addresses.tolist()
    if addresses != sorted(addresses):
        raise KallsymsError("the addresses are not in order")
    if stext is not None:
        try:
            ours = addresses[found.names.index("_stext")]
        except ValueError:
            raise KallsymsError("there is no _stext among the symbols") from None
        if ours != stext:
            raise KallsymsError(f"_stext is at {ours:#x} here, at {stext:#x} in VMCOREINFO")
