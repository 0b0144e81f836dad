"""``crashkernel=`` sizes: what a kernel makes of the words that ask for memory."""

from __future__ import annotations

import re
from collections.abc import Sequence

MIB = 1 << 20
_SIZE = re.compile(r"^(\d{1,12})([KMGTkmgt]?)(?!\d)")
# What may follow a size: an offset, or the suffix of another kind of reservation.
_REST = re.compile(r"^\d+[KMGTkmgt]?(?:@\S*|,high|,low)?$")
_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size_of(text: str) -> int | None:
    """Bytes of ``256M`` (lib/cmdline.c, memparse()); None if no number leads it."""
    match = _SIZE.match(text)
    return int(match[1]) * _UNIT[match[2].upper()] if match else None


def asked_for(values: Sequence[str], ram: int) -> int | None:
    """Bytes that ``crashkernel=`` words ask for on a machine with ``ram`` bytes.

    As kernel/crash_reserve.c: the last plain value counts, ranges (``1G-4G:192M``) choose by RAM,
    ``,high`` and ``,low`` add up, ``,cma`` is no reservation. None where nothing can be parsed
    (``auto`` on a kernel without it); 0 where no range fits.
    """
    plain: int | None = None
    high: int | None = None
    low = 0
    for value in values:
        value = value.strip('"')
        number = size_of(value) if _REST.match(value) else None
        if value.endswith(",high"):
            high = number
        elif value.endswith(",low"):
            low = number or 0
        elif value.endswith(",cma"):
            continue
        elif ":" in value:
            plain = in_range(value, ram)
        else:
            plain = number
    if plain is not None:
        return plain
    return None if high is None else high + low


def in_range(table: str, ram: int) -> int | None:
    """Of ``start-[end]:size,…[@offset]``, the size for ``ram``; 0 if no range holds it."""
    for part in table.split("@")[0].split(","):
        match = re.match(r"^([0-9]+[KMGTkmgt]?)-([0-9]*[KMGTkmgt]?):([0-9]+[KMGTkmgt]?)$", part)
        if match is None:
            return None
        start, end, size = size_of(match[1]), size_of(match[2]), size_of(match[3])
        if start is not None and start <= ram and (end is None or ram < end):
            return size
    return 0


def mib(count: int) -> str:
    """Bytes as ``96 MiB``, rounded up."""
    return f"{-(-count // MIB)} MiB"
