"""The frame below ``__crash_kexec()``, which the ORC tables leave out.

The kernel marks ``__crash_kexec()`` STACK_FRAME_NON_STANDARD (kernel/kexec_core.c since 4.14), so
objtool writes no ORC for it, and libdrgn, which then goes by ``rbp``, loses its caller: ``panic()``
is missing from the backtrace of every machine that panicked. The caller's return address is on the
stack all the same: it is the first word there that follows a ``call __crash_kexec``. A tiny ELF
file with one entry of ``.debug_frame`` that says so is given to libdrgn as debugging information.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import drgn
from drgn import MainModule, Program

from kautopsy.symbols.elf_writer import EMPTY_UNIT, elf, uleb
from kautopsy.symbols.index import KernelSymbols

FILE_NAME = "btf-and-kallsyms-of-the-dump"
"""What drgn shows as the end of the path of the kernel's file."""

_FUNCTION = "__crash_kexec"
_STACK = 1024
_RSP, _RETURN = 7, 16
# Numbers of registers in instructions and in DWARF (System V ABI, figure 3.36).
_DWARF_REGISTERS = {0: 0, 1: 2, 2: 1, 3: 3, 4: 7, 5: 6, 6: 4, 7: 5, **{i: i for i in range(8, 16)}}
_FIVE_BYTES = (0xE8, *range(0xB8, 0xC0))  # call (of fentry), mov imm32
_NOPS = (
    b"\x0f\x1f\x44\x00\x00",
    b"\x66\x66\x66\x66\x90",
)  # P6's and, until 5.12, K8's, in place of fentry
# `atomic_t panic_cpu` since 4.5 (1717f2096b54), `note_buf_t __percpu *crash_notes`; the last is not
# there on kernels for one CPU.
_NOTES = ("panic_cpu", "crash_notes", "__per_cpu_offset")
_MOST_CPUS = 8192
# struct elf_note (name of 5 bytes, NT_PRSTATUS), "CORE", struct elf_prstatus, whose pr_reg is a
# struct user_regs_struct: ip is its 17th word, sp its 20th.
_PRSTATUS_SIZE = 12 + 8 + 336
_PRSTATUS = struct.pack("<III", 5, 336, 1) + b"CORE\0"
_RIP_AT, _RSP_AT = 20 + 112 + 16 * 8, 20 + 112 + 19 * 8


@dataclass(frozen=True)
class FrameRule:
    """How to leave the frame.

    :param start: of the function, as it ran
    :param cfa: bytes from the stack pointer to the caller's
    :param saved: (DWARF register, bytes below the caller's stack pointer)
    """

    start: int
    size: int
    cfa: int
    saved: tuple[tuple[int, int], ...] = ()


def find_rule(program: Program, symbols: KernelSymbols) -> FrameRule | None:
    """The rule for the CPU that took the machine down, or None where it is not needed."""
    platform = program.platform
    if platform is None or platform.arch != drgn.Architecture.X86_64:
        return None
    places = symbols.named(_FUNCTION)
    if not places:
        return None
    start = symbols.symbol(places[0]).address
    size = symbols.size(places[0])
    try:
        pc, rsp = _stopped_at(program, symbols)
        if not start <= pc < start + size:
            return None
        frame_size, saved = _prologue(program.read(start, min(size, 64)))
        for cfa in range(8, _STACK, 8):  # word by word: the stack may end before
            if _follows_call(program, program.read_u64(rsp + cfa - 8), start):
                return FrameRule(start, size, cfa, saved if frame_size == cfa else ())
    except (drgn.FaultError, LookupError, ValueError, IndexError):
        pass
    return None


def _stopped_at(program: Program, symbols: KernelSymbols) -> tuple[int, int]:
    """Instruction and stack pointer of the CPU that took the machine down.

    libdrgn gives them with a whole backtrace only, for which it reads all of ORC: a third of what
    it takes to open a small dump. So they are read from where the dump's notes have them from:
    crash_save_cpu() writes an ELF note NT_PRSTATUS for each CPU.

    :raises LookupError: the dump was not made by a kernel that crashed
    :raises drgn.FaultError: or lacks them
    """
    panic_cpu, crash_notes, offsets = (symbols.address(name) or 0 for name in _NOTES)
    with contextlib.suppress(drgn.FaultError):  # an absent symbol's 0 is no address
        cpu = program.read_u32(panic_cpu)
        if cpu < _MOST_CPUS:
            note = program.read_u64(crash_notes) + program.read_u64(offsets + 8 * cpu)
            data = program.read(note & (1 << 64) - 1, _PRSTATUS_SIZE)
            if data.startswith(_PRSTATUS):
                return _word(data, _RIP_AT), _word(data, _RSP_AT)
    frame = program.crashed_thread().stack_trace()[0]
    return frame.pc, frame.register("rsp")


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _follows_call(program: Program, address: int, target: int) -> bool:
    if address < 1 << 63:
        return False
    try:
        call = program.read(address - 5, 5)
    except drgn.FaultError:
        return False
    displacement: int = struct.unpack("<i", call[1:])[0]
    return call[0] == 0xE8 and address + displacement == target


def _prologue(code: bytes) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Bytes from the stack pointer to the caller's after the prologue, and what it pushed."""
    depth = 8  # the return address
    saved: list[tuple[int, int]] = []
    at = 0
    while at < len(code) - 8:
        byte = code[at]
        pushed = None
        if 0x50 <= byte <= 0x57:
            pushed, length = byte - 0x50, 1
        elif byte == 0x41 and 0x50 <= code[at + 1] <= 0x57:
            pushed, length = byte - 0x41 + 8 + code[at + 1] - 0x50, 2
        elif code[at : at + 3] == b"\x48\x81\xec":  # sub imm32, %rsp
            return depth + int.from_bytes(code[at + 3 : at + 7], "little"), tuple(saved)
        elif code[at : at + 3] == b"\x48\x83\xec":  # sub imm8, %rsp
            return depth + code[at + 3], tuple(saved)
        elif code[at : at + 4] == b"\xf3\x0f\x1e\xfa":  # endbr64
            length = 4
        elif byte in _FIVE_BYTES or code[at : at + 5] in _NOPS:
            length = 5
        elif byte in (0x31, 0x89):  # xor, mov between registers
            length = 2
        elif byte in (0x45, 0x48) and code[at + 1] in (0x31, 0x89):
            length = 3
        else:
            break
        if pushed is not None:
            depth += 8
            saved.append((_DWARF_REGISTERS[pushed], depth))
        at += length
    return depth, tuple(saved)


def give(
    module: MainModule, rule: FrameRule | None, kaslr_offset: int, lines: dict[str, bytes]
) -> bool:
    """Make libdrgn know ``rule`` and source ``lines``; False if it does not take them.

    :param kaslr_offset: bytes: the file speaks of the kernel as it was linked
    :param lines: sections with the units and line tables of a kit, or none
    """
    if module.build_id is None:
        return False
    sections = dict(lines or EMPTY_UNIT)
    if rule is not None:
        sections[".debug_frame"] = _debug_frame(rule, kaslr_offset)
    with tempfile.TemporaryDirectory(prefix="kautopsy-") as folder:
        path = Path(folder) / FILE_NAME  # a memfd's name would end in "(deleted)" wherever shown
        path.write_bytes(elf(module.build_id, sections))
        module.try_file(path)
    return bool(module.debug_file_status == drgn.ModuleFileStatus.HAVE)


def _debug_frame(rule: FrameRule, kaslr_offset: int) -> bytes:
    # CIE: version 4, no augmentation, 8-byte addresses, code factor 1, data factor -8.
    cie = struct.pack("<I", 0xFFFFFFFF) + bytes([4, 0, 8, 0, 1, 0x78, _RETURN])
    cie += b"\x0c" + uleb(_RSP) + uleb(rule.cfa)  # DW_CFA_def_cfa
    cie += bytes([0x80 | _RETURN, 1])  # DW_CFA_offset: the return address is below the CFA
    for register, below in rule.saved:
        cie += bytes([0x80 | register]) + uleb(below // 8)
    fde = struct.pack("<IQQ", 0, rule.start - kaslr_offset, rule.size)
    return b"".join(
        struct.pack("<I", len(entry)) + entry
        for entry in (body + b"\0" * (-(len(body) + 4) % 8) for body in (cie, fde))
    )
