"""What the registers point to: slab objects, whether they are free, and who freed them.

With slub_debug=U every object of a cache is followed by two ``struct track`` (mm/slub.c,
``get_track``): who allocated it, who freed it last. They start where the object's own data, and the
free pointer if it lies outside, end (``get_info_end``).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from drgn import Object, Program, sizeof
from drgn.helpers.linux.slab import slab_object_info

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.stacks import locate
from kautopsy.model.finding import Evidence

_MAX_OBJECTS = 4
_DIRECT_MAP, _IMAGE = 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8000_0000
_MAX_REACH = 400
_MAX_SIZE = 4096


def describe(
    program: Program, registers: dict[str, int], *, reused: bool = False
) -> Iterator[Evidence]:
    """Evidence for each slab object that a register points into; free ones first.

    :param reused: tell who allocated and last freed those that are in use, too
    """
    found: dict[int, tuple[bool, list[Evidence]]] = {}
    for name, value in registers.items():
        if not _DIRECT_MAP <= value < _IMAGE or name == "rsp":
            continue
        try:
            info = slab_object_info(program, value)
            if info is None or info.address in found:
                continue
            cache = text(info.slab_cache.name.string_())
            state = "in use" if info.allocated else "FREE"
            items = [
                Evidence(
                    what=f"{name.upper()} points into",
                    value=(
                        f"a {cache} object at {info.address:#x} (+{value - info.address:#x}), "
                        f"which is {state}"
                    ),
                    show=f"kmem -s {value:#x}",
                )
            ]
            if reused or not info.allocated:
                items.extend(_tracks(program, info.slab_cache, info.address))
            found[info.address] = (not info.allocated, items)
        except READ_ERRORS:
            continue
    interesting = sorted(found.values(), key=lambda pair: not pair[0])
    for _, items in interesting[:_MAX_OBJECTS]:
        yield from items


def read_from_freed(program: Program, registers: dict[str, int], value: int) -> Evidence | None:
    """Evidence that ``value`` was read out of a slab object that is free; None if that is not seen.

    The objects in reach are those that registers and the words on top of the stack point to, and
    those that they point to in turn: who walks a list has the entry before in reach. With neither
    poison nor tracks this is all that a use after free leaves.
    """
    reach = list(registers.values())
    stack = registers.get("rsp", 0)
    with contextlib.suppress(*READ_ERRORS):
        reach.extend(struct.unpack("<64Q", program.read(stack, 512)))
    seen: set[int] = set()
    for level in range(2):
        further: list[int] = []
        for pointer in reach:
            if not _DIRECT_MAP <= pointer < _IMAGE:
                continue
            try:
                info = slab_object_info(program, pointer)
                if info is None or info.address in seen or len(seen) >= _MAX_REACH:
                    continue
                seen.add(info.address)
                size = min(int(info.slab_cache.object_size), _MAX_SIZE) // 8
                words = struct.unpack(f"<{size}Q", program.read(info.address, 8 * size))
            except READ_ERRORS:
                continue
            if not info.allocated and value in words:
                name = text(info.slab_cache.name.string_())
                return Evidence(
                    what="the pointer was read from",
                    value=f"a {name} object at {info.address:#x} (+{8 * words.index(value):#x}), "
                    "which is FREE",
                    show=f"kmem -s {info.address:#x}",
                )
            if info.allocated and not level:
                further.extend(words)
        reach = further
    return None


def _stores_users(program: Program) -> int:
    """``SLAB_STORE_USER`` (include/linux/slab.h): since v6.9 an enumerator names its bit."""
    try:
        bits = program.type("enum _slab_flag_bits").enumerators or ()
    except LookupError:
        return 0x0001_0000
    return next((1 << bit.value for bit in bits if bit.name == "_SLAB_STORE_USER"), 0)


def _tracks(program: Program, cache: Object, address: int) -> Iterator[Evidence]:
    if not int(cache.flags) & _stores_users(program):
        return
    inuse, offset = int(cache.inuse), int(cache.offset)
    end = inuse + 8 if offset >= inuse else inuse
    size = sizeof(program.type("struct track"))
    for index, what in enumerate(("allocated by", "freed by")):
        track = Object(program, "struct track", address=address + end + index * size)
        caller = int(track.addr)
        if not caller:
            continue
        frame = locate(program, caller)
        where = f"{frame.function}+{frame.offset or 0:#x}" if frame.function else f"{caller:#x}"
        module = f" [{frame.module}]" if frame.module else ""
        yield Evidence(
            what=what,
            value=f"{where}{module}, pid {int(track.pid)}, CPU {int(track.cpu)}",
            show=f"rd {address + end + index * size:#x} {size // 8}",
        )
