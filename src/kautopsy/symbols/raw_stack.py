"""Stacks of CPUs without any type: words that look like return addresses, by name.

For dumps with nothing but a symbol table. The registers are those that a crashing x86-64 kernel
saves for the core's notes (``crash_notes``, kernel/kexec_core.c): a CPU that was not asked to save
them has no stack here. Nothing is unwound: a word that points behind a call may be left over from
an earlier call, so every frame but the first is unreliable.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import drgn
from drgn import Program

from kautopsy.model.crash import Frame

MAX_CPUS = 8192
_WORDS = 2048  # 16 KiB: the largest stack x86-64 has for tasks
_MAX_FRAMES = 64
_NT_PRSTATUS = 1
_REGISTERS = 112  # struct elf_prstatus.pr_reg, a struct user_regs_struct
_RIP, _RSP = 16, 19  # in words


@dataclass(frozen=True)
class RawStack:
    """What was on a CPU's stack, innermost first."""

    cpu: int
    frames: tuple[Frame, ...]


def raw_stacks(program: Program) -> list[RawStack]:
    """The stacks of the CPUs whose registers are in the dump; none on other architectures."""
    platform = program.platform
    if platform is None or platform.arch != drgn.Architecture.X86_64:
        return []
    found = []
    try:
        notes = program.read_u64(program.symbol("crash_notes").address)
        offsets = program.symbol("__per_cpu_offset")
        count = min(offsets.size // 8, MAX_CPUS)
    except (drgn.FaultError, LookupError):
        return []
    seen = set()
    for cpu in range(count):
        try:
            offset = program.read_u64(offsets.address + 8 * cpu)
            note = program.read(notes + offset & (1 << 64) - 1, 20 + _REGISTERS + 27 * 8)
        except drgn.FaultError:
            continue
        name_size, size, kind = struct.unpack_from("<III", note)
        if kind != _NT_PRSTATUS or name_size != 5 or size < _REGISTERS + 27 * 8 or offset in seen:
            continue
        seen.add(offset)
        registers = struct.unpack_from("<27Q", note, 20 + _REGISTERS)
        frames = _frames(program, registers[_RIP], registers[_RSP])
        found.append(RawStack(cpu, frames))
    return found


def _frames(program: Program, rip: int, rsp: int) -> tuple[Frame, ...]:
    frames = [_frame(program, rip, rip, reliable=True)]
    for at in range(rsp & ~7, (rsp & ~7) + 8 * _WORDS, 8):
        try:
            word = program.read_u64(at)
        except drgn.FaultError:
            break  # the stack's end, or a page that is not in the dump
        if not word >> 63:
            continue
        frame = _frame(program, word, word - 1, reliable=False)
        if frame.function is not None and _after_call(program, word):
            frames.append(frame)
        if len(frames) >= _MAX_FRAMES:
            break
    return tuple(frames)


def _after_call(program: Program, address: int) -> bool:
    """Whether a call (``e8 rel32``, or ``ff /2`` through a register) ends at ``address``."""
    try:
        before = program.read(address - 5, 5)
    except drgn.FaultError:
        return False
    return bool(before[0] == 0xE8 or (before[3] == 0xFF and 0xD0 <= before[4] <= 0xD7))


def _frame(program: Program, address: int, inside: int, *, reliable: bool) -> Frame:
    try:
        symbol = program.symbol(inside)
    except LookupError:
        return Frame(address=address, reliable=reliable)
    if symbol.kind != drgn.SymbolKind.FUNC:
        return Frame(address=address, reliable=reliable)
    return Frame(
        function=symbol.name,
        offset=address - symbol.address,
        size=symbol.size or None,
        address=address,
        reliable=reliable,
    )
