"""Find the tables of kallsyms in a kernel whose VMCOREINFO does not name them (before 6.0).

They lie in ``.rodata`` one after the other, as scripts/kallsyms.c writes them until 6.3: addresses
or offsets and their base, ``num_syms``, names, markers, token table, token index, each at a
multiple of 8. What is recognised is the token table: the digits are tokens of their own, in order.
"""

from __future__ import annotations

import struct
from array import array

import drgn

from kautopsy.symbols.kallsyms import MAX_SYMBOLS, KallsymsError, ReadMemory, Tables

_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
_SCAN = 64 << 20
_CHUNK = 4 << 20
_PAGE = 4096
_MARKED = 256  # one marker in so many names


def find_tables(read: ReadMemory, stext: int, *, big_endian: bool = False) -> Tables:
    """Look through the kernel's first 64 MiB.

    :param stext: the address of ``_stext``
    :raises KallsymsError: there are no such tables
    """
    order = ">" if big_endian else "<"
    before = b""
    for chunk in range(stext, stext + _SCAN, _CHUNK):
        data = before + _read_what_is_there(read, chunk, _CHUNK)
        base = chunk - len(before)
        at = data.find(_DIGITS)
        while at >= 0:
            tables = _tables_around(read, base + at, order, stext)
            if tables is not None:
                return tables
            at = data.find(_DIGITS, at + 1)
        before = data[-len(_DIGITS) :]
    raise KallsymsError("no symbol table in the kernel's memory")


def _read_what_is_there(read: ReadMemory, address: int, size: int) -> bytes:
    try:
        return read(address, size)
    except drgn.FaultError:
        pass
    pages = []
    for page in range(address, address + size, _PAGE):
        try:
            pages.append(read(page, _PAGE))
        except drgn.FaultError:
            pages.append(bytes(_PAGE))
    return b"".join(pages)


def _tables_around(read: ReadMemory, digits: int, order: str, stext: int) -> Tables | None:
    """The tables, if ``digits`` is the address of token ``0`` among tokens."""
    try:
        found = _token_index(read, digits, order)
        if found is None:
            return None
        token_table, token_index = found
        return _before(read, token_table, token_index, order, stext)
    except (drgn.FaultError, struct.error):
        return None


def _token_index(read: ReadMemory, digits: int, order: str) -> tuple[int, int] | None:
    """Addresses of ``kallsyms_token_table`` and ``kallsyms_token_index``."""
    after = read(digits, 8192)
    at = 0
    for _ in range(256 - ord("0")):
        at = after.find(b"\0", at) + 1
        if not at:
            return None
    for start in range(at, at + 16):
        if (digits + start) % 2 or start + 512 > len(after):
            continue
        index = struct.unpack_from(order + "256H", after, start)
        table = digits - index[ord("0")]
        # The index says where the table begins; the table must bear it out.
        if index[0] == 0 and list(index) == sorted(set(index)):
            tokens = read(table, index[255] + 1)
            if all(i == 0 or tokens[i - 1] == 0 for i in index):
                return table, digits + start
    return None


def _before(
    read: ReadMemory, token_table: int, token_index: int, order: str, stext: int
) -> Tables | None:
    """Go backwards from the token table: markers, names, their number, the addresses."""
    for code, width in (("I", 4), ("Q", 8)):  # unsigned long markers before 4.20
        markers = _markers(read, token_table, order, code, width)
        if markers is None:
            continue
        start, offsets = markers
        # The names end at most one alignment before the markers; the last marker is near the end.
        low = start - offsets[-1] - _MARKED * 130
        data = _read_what_is_there(read, low, start - low)
        for names in range((start - offsets[-1]) & ~7, low + 16, -8):
            count, above = struct.unpack_from(order + "II", data, names - low - 8)
            if above == 0 and (count + _MARKED - 1) // _MARKED == len(offsets):
                tables = _addresses(read, names, count, token_table, token_index, order, stext)
                if tables is not None:
                    return tables
    return None


def _markers(
    read: ReadMemory, token_table: int, order: str, code: str, width: int
) -> tuple[int, array[int]] | None:
    """Address and values of ``kallsyms_markers``: from 0 upwards, and then the token table."""
    size = (MAX_SYMBOLS // _MARKED) * width
    data = b""
    for tried in (64 << 10, size):
        data = _read_what_is_there(read, token_table - tried, tried)
        values = struct.unpack(f"{order}{tried // width}{code}", data)
        end = len(values)
        while end and values[end - 1] == 0:  # alignment before the token table
            end -= 1
        first = end - 1
        while first > 0 and 0 < values[first - 1] < values[first]:
            first -= 1
        if first > 0 and values[first - 1] == 0:
            start = token_table - tried + (first - 1) * width
            return start, array("Q", values[first - 1 : end])
    return None


def _addresses(
    read: ReadMemory,
    names: int,
    count: int,
    token_table: int,
    token_index: int,
    order: str,
    stext: int,
) -> Tables | None:
    """``names`` are right if what lies before them can be addresses of ``count`` symbols."""
    num_syms = names - 8
    (last,) = struct.unpack(order + "Q", read(num_syms - 8, 8))
    offsets = num_syms - 8 - (4 * count + 7 & ~7)
    if last >> 63 == 0 or offsets <= 0:
        return None
    if last > stext:  # the last symbol's address; a relative base is the first one's
        addresses = num_syms - 8 * count
        return Tables(names, num_syms, token_table, token_index, addresses=addresses)
    return Tables(names, num_syms, token_table, token_index, offsets, num_syms - 8)
