"""What the faulting instruction was reaching for: its memory operand, out of the ``Code:`` bytes.

A report holds sixteen registers and any of them may hold poison or an error code by chance
(``__list_del_entry_valid()`` loads LIST_POISON2 to compare with). The instruction says which of
them was the pointer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kautopsy.model.crash import Crash

_MARKED = re.compile(r"<([0-9a-f]{2})>((?: [0-9a-f]{2})*)")
_MASK = (1 << 64) - 1
# How far beyond its operand's address an access may fault: the widest one.
_WIDEST = 64


@dataclass(frozen=True)
class Operand:
    """A memory operand.

    :param address: where the access went
    :param register: the base register, lower case; the index where there is no base
    :param value: what ``register`` held
    """

    address: int
    register: str
    value: int


def memory_operand(crash: Crash, *, at: int | None) -> Operand | None:
    """The operand with which ``crash`` faulted; None where the report does not tell (x86-64 only).

    :param at: the faulting address, if the report gives it: of several operands it is the one there
    """
    match = _MARKED.search(crash.code or "")
    if match is None or "rax" not in crash.registers:
        return None
    try:
        import capstone  # type: ignore[import-untyped]
    except ImportError:
        return None
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    instruction = next(decoder.disasm(bytes.fromhex(match[1] + match[2]), 0, 1), None)
    if instruction is None:
        return None
    found = []
    for operand in instruction.operands:
        if operand.type != capstone.CS_OP_MEM or operand.mem.segment:
            continue
        parts = []
        for number, scale in ((operand.mem.base, 1), (operand.mem.index, operand.mem.scale)):
            if number:
                name = instruction.reg_name(number)
                parts.append((name, _register(crash, name), scale))
        values = [value for _, value, _ in parts]
        if not parts or None in values:
            continue
        address = sum((value or 0) * scale for _, value, scale in parts) + operand.mem.disp
        name, value, _ = parts[0]
        found.append(Operand(address & _MASK, name, value or 0))
    if at is not None:
        found = [one for one in found if (at - one.address) & _MASK < _WIDEST]
    return found[0] if len(found) == 1 else None


def _register(crash: Crash, name: str) -> int | None:
    # The kernel writes R08 where assemblers write r8.
    padded = f"r0{name[1:]}" if re.fullmatch(r"r[89]", name) else name
    return crash.registers.get(padded, crash.registers.get(name))
