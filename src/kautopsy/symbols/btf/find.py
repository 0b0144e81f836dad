"""The kernel's BTF in the memory of a dump."""

from __future__ import annotations

import drgn

from kautopsy.symbols.btf.parse import Btf, BtfError, parse, size_of
from kautopsy.symbols.cache import TableCache
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import ReadMemory

_SCAN = 64 << 20
_CHUNK = 1 << 20
_MAX_SIZE = 64 << 20
# magic 0xeb9f, version 1, flags 0, hdr_len 24, type_off 0
_LITTLE = bytes.fromhex("9feb01001800000000000000")
_BIG = bytes.fromhex("eb9f01000000001800000000")


def read_btf(
    read: ReadMemory,
    symbols: KernelSymbols,
    stext: int | None,
    cache: TableCache | None = None,
) -> Btf:
    """The BTF of the kernel proper.

    :param stext: where to begin looking if kallsyms has no ``__start_BTF`` (kernels without
        CONFIG_KALLSYMS_ALL)
    :param cache: where its index may be that was made of the same bytes before
    :raises BtfError: there is none, or it is damaged
    """
    start, stop = symbols.address("__start_BTF"), symbols.address("__stop_BTF")
    if start is None or stop is None:
        if symbols.address("init_task") is not None or stext is None:
            raise BtfError("the kernel was built without CONFIG_DEBUG_INFO_BTF")
        start, stop = _scan(read, stext)
    if not 0 < stop - start <= _MAX_SIZE:
        raise BtfError("the kernel was built without CONFIG_DEBUG_INFO_BTF")
    try:
        return parse(read(start, stop - start), cache=cache)
    except drgn.FaultError as error:
        raise BtfError(f"not in the dump: {error}") from error


def _scan(read: ReadMemory, stext: int) -> tuple[int, int]:
    for chunk in range(stext, stext + _SCAN, _CHUNK):
        try:
            data = read(chunk, _CHUNK + len(_LITTLE))
        except drgn.FaultError:
            continue
        at = max(data.find(_LITTLE), data.find(_BIG))
        if at >= 0:
            start = chunk + at
            return start, start + size_of(read(start, 24))
    raise BtfError("there is no BTF in the kernel's memory")
