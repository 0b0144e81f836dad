"""What the registers point to: slab objects, whether they are free, and who freed them.

With slub_debug=U every object of a cache is followed by two ``struct track`` (mm/slub.c,
``get_track``): who allocated it, who freed it last. They start where the object's own data, and the
free pointer if it lies outside, end (``get_info_end``).
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import Object, Program, sizeof
from drgn.helpers.linux.slab import slab_object_info

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.stacks import locate
from kautopsy.model.finding import Evidence

_SLAB_STORE_USER = 0x0001_0000  # include/linux/slab.h; a bit of enum _slab_flag_bits since v6.9
_MAX_OBJECTS = 4


def describe(program: Program, registers: dict[str, int]) -> Iterator[Evidence]:
    """Evidence for each slab object that a register points into; free ones first."""
    found: dict[int, tuple[bool, list[Evidence]]] = {}
    for name, value in registers.items():
        if value < 0xFFFF_8000_0000_0000 or value >= 0xFFFF_FFFF_8000_0000 or name == "rsp":
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
            if not info.allocated:
                items.extend(_tracks(program, info.slab_cache, info.address))
            found[info.address] = (not info.allocated, items)
        except READ_ERRORS:
            continue
    interesting = sorted(found.values(), key=lambda pair: not pair[0])
    for _, items in interesting[:_MAX_OBJECTS]:
        yield from items


def _tracks(program: Program, cache: Object, address: int) -> Iterator[Evidence]:
    if not int(cache.flags) & _SLAB_STORE_USER:
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
