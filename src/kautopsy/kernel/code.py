"""What a function's code refers to: enough to tell which global locks it works on.

Locks without an owner field (spinlocks, semaphores, completions) do not say who holds them. But
whoever does is still inside a function that names the lock: as an immediate (``mov $lock,%rdi``),
relative to the instruction pointer (``lea lock(%rip),%rdi``), or through a global pointer to the
object around it. No disassembler is needed: every position of the function's bytes is tried as an
operand, and a chance hit on one given 64-bit address is rare enough.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS

_MAX_FUNCTION = 1 << 15
_SMALL = 256
# call rel32; overlapping, as any byte of another instruction may be 0xe8
_CALL = re.compile(rb"\xe8(?=(.{4}))", re.DOTALL)


class Code:
    """Addresses that functions refer to, each function read once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._seen: dict[int, frozenset[int]] = {}
        self._texts: dict[int, bytes] = {}
        self._patterns: dict[int, re.Pattern[bytes]] = {}

    def _text(self, address: int) -> bytes:
        """The bytes of the function around ``address``; as much as can be read, at most 32 KiB."""
        try:
            symbol = self._program.symbol(address)
        except LookupError:
            return b""
        known = self._texts.get(symbol.address)
        if known is None:
            size = min(symbol.size or _end_of(self._program, symbol.address), _MAX_FUNCTION)
            try:
                known = self._program.read(symbol.address, size)
            except READ_ERRORS:
                known = b""
            self._texts[symbol.address] = known
        return known

    def operands(self, address: int) -> frozenset[int]:
        """Kernel addresses that the function around ``address`` may refer to (x86-64)."""
        try:
            symbol = self._program.symbol(address)
        except LookupError:
            return frozenset()
        known = self._seen.get(symbol.address)
        if known is None:
            known = frozenset(self._operands(symbol.address, self._text(address)))
            self._seen[symbol.address] = known
        return known

    def _operands(self, start: int, raw: bytes) -> Iterable[int]:
        for at in range(len(raw) - 3):
            (value,) = struct.unpack_from("<i", raw, at)
            if value < 0:
                # A sign-extended imm32: the kernel's image and its modules are in the top 2 GiB.
                yield value & 0xFFFF_FFFF_FFFF_FFFF
            # disp32 relative to the end of the instruction, which is 0 to 4 bytes further on.
            target = start + at + 4 + value
            for immediate in (0, 1, 4):
                if target + immediate >= 0xFFFF_FFFF_8000_0000:
                    yield target + immediate

    def names_member(self, address: int, start: int, member: int) -> bool:
        """Whether the function around ``address`` takes the address of ``member``.

        By its own address, or as an offset into the object at ``start``: ``lea 0x48(%rbx),%rdi``,
        ``add $0x48,%rdi``, or the ``movb $0,0x48(%rbx)`` of an inlined spin_unlock(). What is first
        in its object has no offset to tell it by.
        """
        if member in self.operands(address):
            return True
        offset = member - start
        if not 0 < offset < 1 << 20:
            return False
        pattern = self._patterns.get(offset)
        if pattern is None:
            pattern = self._patterns[offset] = _takes_address(offset)
        return pattern.search(self._text(address)) is not None

    def calls_one_that_names(self, address: int, lock: int) -> bool:
        """Whether the function around ``address`` calls a small one that names ``lock``.

        Big locks are taken through a function of their own: ``rtnl_lock()``, ``cpus_read_lock()``.
        """
        try:
            start = self._program.symbol(address).address
        except LookupError:
            return False
        text = self._text(address)
        for match in _CALL.finditer(text):
            (distance,) = struct.unpack("<i", match[1])
            target = (start + match.end() + 4 + distance) & 0xFFFF_FFFF_FFFF_FFFF
            try:
                callee = self._program.symbol(target)
            except LookupError:
                continue
            small = len(self._text(target)) <= _SMALL
            if callee.address == target and small and lock in self.operands(target):
                return True
        return False

    def refers_to(self, address: int, low: int, high: int) -> bool:
        """Whether the function around ``address`` refers to memory in ``[low, high)``.

        Directly, or through a global pointer into it.
        """
        operands = self.operands(address)
        if any(low <= operand < high for operand in operands):
            return True
        if low >= 0xFFFF_FFFF_8000_0000:
            return False
        for operand in operands:
            if operand % 8 == 0 and operand >= 0xFFFF_FFFF_8000_0000:
                try:
                    if low <= self._program.read_u64(operand) < high:
                        return True
                except READ_ERRORS:
                    continue
        return False


def _takes_address(offset: int) -> re.Pattern[bytes]:
    """x86-64 instructions that compute, or write a byte to, a register plus ``offset``."""
    if offset < 0x80:
        tail = re.escape(struct.pack("<B", offset))
        forms: tuple[bytes, ...] = (
            rb"\x8d[\x40-\x43\x45-\x4b\x4d-\x53\x55-\x5b\x5d-\x63\x65-\x6b\x6d-\x73\x75-\x7b\x7d-\x7f]",
            rb"\x8d[\x44\x4c\x54\x5c\x64\x6c\x74\x7c].",
            rb"\x83[\xc0-\xc7]",
            rb"\xc6[\x40-\x43\x45-\x47]",
        )
    else:
        tail = re.escape(struct.pack("<I", offset))
        forms = (
            rb"\x8d[\x80-\xbf]",
            rb"\x8d[\x84\x8c\x94\x9c\xa4\xac\xb4\xbc].",
            rb"\x81[\xc0-\xc7]",
            rb"\x48\x05",
            rb"\xc6[\x80-\x87]",
        )
    return re.compile(b"(?:" + b"|".join(forms) + b")" + tail, re.DOTALL)


def _end_of(program: Program, address: int) -> int:
    """Bytes to the next symbol, for tables that keep no sizes; at most 2 KiB."""
    for size in range(16, 2048, 16):
        try:
            if program.symbol(address + size).address != address:
                return size
        except LookupError:
            return size
    return 2048
