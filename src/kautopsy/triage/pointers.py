"""What the pointer of a fault was: the story behind what the kernel calls a bad pointer.

The memory operand of the faulting instruction is the pointer (:mod:`kautopsy.triage.operand`).
Where the report does not tell it, the registers that hold something remarkable speak: poison of
lists, of freed or of uninitialised memory, addresses that no mapping can have.
"""

from __future__ import annotations

import re

from kautopsy.kernel.poison import Pointer, Story, classify
from kautopsy.model.crash import Crash, Kind
from kautopsy.triage.operand import Operand
from kautopsy.triage.scene import Scene

LOWEST_USER = 0x1_0000
"""Nothing can be mapped below (``vm.mmap_min_addr``): an address there is NULL plus an offset."""

# arch/x86/kernel/traps.c: the address is told since 5.6 (59c1dcbed5b5 "x86/traps: Print address on
# #GP").
_NON_CANONICAL = re.compile(r"non-canonical address (0x[0-9a-f]+)")
_GENERAL_PROTECTION = re.compile(r"general protection fault")


def telling(registers: dict[str, int]) -> dict[str, Pointer]:
    """Registers whose value is remarkable; the instruction and stack pointers are not."""
    found = {}
    for name, value in registers.items():
        if name in ("rip", "rsp", "rflags", "eflags", "cs", "ss", "orig_rax") or len(name) > 4:
            continue
        pointer = classify(value)
        if pointer.story in (
            Story.LIST_POISON,
            Story.FREED,
            Story.UNINITIALISED,
            Story.PAGE_POISON,
            Story.NON_CANONICAL,
        ):
            found[name] = pointer
    if "cr2" in registers:
        found["cr2"] = classify(registers["cr2"])
    return found


def told_address(scene: Scene, crash: Crash) -> int | None:
    """The faulting address as the report gives it: CR2 is of page faults only."""
    for line in lines_of(scene, crash):
        if match := _NON_CANONICAL.search(line):
            return int(match[1], 16)
        if _GENERAL_PROTECTION.search(line):
            return None
    return crash.registers.get("cr2")


def lines_of(scene: Scene, crash: Crash) -> tuple[str, ...]:
    """The messages of ``crash`` in the dump's log, without time stamps."""
    if crash.text is None:
        return ()
    return scene.log_lines[max(crash.text.first_line - 1, 0) : crash.text.last_line]


def of_operand(operand: Operand, registers: dict[str, int]) -> dict[str, Pointer]:
    """As :func:`telling`, of the register that was the pointer and of nothing else."""
    found = {operand.register: classify(operand.value)}
    if "cr2" in registers:
        found["cr2"] = classify(registers["cr2"])
    return found


def sharper(kind: Kind, pointers: dict[str, Pointer], *, certain: bool) -> tuple[Kind, str]:
    """Kind and words for the pointer's story; ``certain`` if no register is here by chance."""
    stories = {pointer.story: pointer for pointer in pointers.values()}
    address = pointers.get("cr2")
    if certain and Story.ERROR in stories and kind is Kind.NULL_DEREFERENCE:
        # An error code plus a member's offset wraps around to an address near NULL.
        error = stories[Story.ERROR]
        return Kind.BAD_POINTER, f" The pointer {error.value:#x} is {error.words}."
    if address is not None and address.story is Story.NULL:
        return kind, ""
    if kind is Kind.BAD_POINTER and address is not None and address.value < LOWEST_USER:
        # Nothing can be mapped there (vm.mmap_min_addr): a member far down a large struct.
        base = next((p for name, p in pointers.items() if name != "cr2"), None)
        if base is None or base.value == 0 or not certain:
            return Kind.NULL_DEREFERENCE, f" The pointer is NULL, the member {address.value:#x} in."
    for story in (Story.LIST_POISON, Story.FREED, Story.PAGE_POISON):
        if story in stories:
            return Kind.USE_AFTER_FREE, f" A register holds {stories[story].words}."
    if kind is Kind.USE_AFTER_FREE:
        return kind, ""
    if Story.UNINITIALISED in stories:
        return kind, f" A register holds {stories[Story.UNINITIALISED].words}."
    # CR2 is of the page fault only; a general protection fault leaves that of an earlier one.
    for pointer in (*(p for name, p in pointers.items() if name != "cr2"), address):
        if pointer is not None and pointer.story in (
            Story.NON_CANONICAL,
            Story.USER,
            Story.ERROR,
            Story.VMALLOC,
        ):
            return kind, f" The pointer {pointer.value:#x} is {pointer.words}."
    return kind, ""
