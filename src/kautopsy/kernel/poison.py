"""Addresses and values that tell a story: poison, list poison, holes of the address space.

Values from include/linux/poison.h; CONFIG_ILLEGAL_POINTER_VALUE is 0xdead000000000000 on x86-64 and
AArch64.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Story(StrEnum):
    """What a pointer's value says about it."""

    NULL = "null"
    LIST_POISON = "list-poison"
    FREED = "freed"
    UNINITIALISED = "uninitialised"
    PAGE_POISON = "page-poison"
    USER = "user"
    NON_CANONICAL = "non-canonical"
    ERROR = "error-pointer"
    VMALLOC = "vmalloc"
    DIRECT = "direct"
    KERNEL = "kernel"


@dataclass(frozen=True)
class Pointer:
    """A value, and what it looks like."""

    value: int
    story: Story
    words: str


_ILLEGAL = 0xDEAD_0000_0000_0000
_NEAR = 0x1000


def _bytes_of(value: int, byte: int) -> bool:
    """Whether at least six of the upper seven bytes are ``byte``: an offset may have been added."""
    return sum((value >> shift) & 0xFF == byte for shift in range(8, 64, 8)) >= 6


def classify(value: int) -> Pointer:
    """What ``value`` looks like when used as a kernel pointer on x86-64 (4-level paging)."""
    story, words = _classify(value)
    return Pointer(value, story, words)


def _classify(value: int) -> tuple[Story, str]:
    if value < _NEAR:
        return Story.NULL, f"NULL plus {value:#x}"
    if value >= (1 << 64) - 4095:
        return Story.ERROR, f"an error code ({value - (1 << 64)}) used as a pointer (ERR_PTR)"
    for poison, name in ((0x100, "LIST_POISON1"), (0x122, "LIST_POISON2")):
        if abs(value - (_ILLEGAL + poison)) < 0x20 or value == _ILLEGAL + poison + 8:
            return Story.LIST_POISON, f"{name}: the link of an entry that was taken off its list"
    if value >> 32 == _ILLEGAL >> 32 and value & 0xFFFF_FFFF < 0x10_0000:
        return Story.LIST_POISON, "the illegal address that poisons links and timers"
    if _bytes_of(value, 0x6B):
        return Story.FREED, "POISON_FREE (0x6b): read out of a slab object that was freed"
    if _bytes_of(value, 0x5A):
        return Story.UNINITIALISED, "POISON_INUSE (0x5a): read out of memory never initialised"
    if _bytes_of(value, 0xAA):
        return Story.PAGE_POISON, "PAGE_POISON (0xaa): read out of a page that was freed"
    if value < 1 << 47:
        return Story.USER, "an address of user space"
    if value < 0xFFFF_8000_0000_0000:
        return Story.NON_CANONICAL, "no valid (canonical) address" + _as_text(value)
    if value >= 0xFFFF_FFFF_8000_0000:
        return Story.KERNEL, "in the kernel's image or a module"
    if 0xFFFF_A000_0000_0000 <= value < 0xFFFF_EA00_0000_0000:
        return Story.VMALLOC, "in the region of vmalloc"
    return Story.DIRECT, "in the direct map of memory"


def _as_text(value: int) -> str:
    raw = value.to_bytes(8, "little")
    if all(0x20 <= byte < 0x7F for byte in raw.rstrip(b"\\0")) and raw.rstrip(b"\\0"):
        return f"; its bytes spell {raw.rstrip(bytes(1)).decode()!r}"
    return ""
