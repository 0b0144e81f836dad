"""What a function's code refers to: enough to tell which global locks it works on.

Locks without an owner field (spinlocks, semaphores, completions) do not say who holds them. But
whoever does is still inside a function that names the lock: as an immediate (``mov $lock,%rdi``),
relative to the instruction pointer (``lea lock(%rip),%rdi``), or through a global pointer to the
object around it. No disassembler is needed: every position of the function's bytes is tried as an
operand, and a chance hit on one given 64-bit address is rare enough.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS

_MAX_FUNCTION = 1 << 15


class Code:
    """Addresses that functions refer to, each function read once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._seen: dict[int, frozenset[int]] = {}

    def operands(self, address: int) -> frozenset[int]:
        """Kernel addresses that the function around ``address`` may refer to (x86-64)."""
        try:
            symbol = self._program.symbol(address)
        except LookupError:
            return frozenset()
        known = self._seen.get(symbol.address)
        if known is None:
            size = symbol.size or _end_of(self._program, symbol.address)
            known = frozenset(self._operands(symbol.address, min(size, _MAX_FUNCTION)))
            self._seen[symbol.address] = known
        return known

    def _operands(self, start: int, size: int) -> Iterable[int]:
        try:
            raw = self._program.read(start, size)
        except READ_ERRORS:
            return
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


def _end_of(program: Program, address: int) -> int:
    """Bytes to the next symbol, for tables that keep no sizes; at most 2 KiB."""
    for size in range(16, 2048, 16):
        try:
            if program.symbol(address + size).address != address:
                return size
        except LookupError:
            return size
    return 2048
