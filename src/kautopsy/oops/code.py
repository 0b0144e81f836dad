"""The bytes after ``Code:``, disassembled.

x86 prints 64 bytes with ``<..>`` around the first of the instruction that was executing
(arch/x86/kernel/dumpstack.c ``show_opcodes``), arm, arm64, powerpc, riscv and mips whole
instructions with ``(....)`` or ``<....>`` around it. Where disassembly must begin is unknown on
x86: bytes before the mark are decoded from the first offset from which a boundary meets the mark.
"""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.model.lazy import lazy_pattern

_TOKEN = lazy_pattern(r"([<(]?)([0-9a-f]{2}|[0-9a-f]{4}|[0-9a-f]{8}|[0-9a-f]{16})[>)]?(?=\s|$)")
_LONGEST_X86 = 15


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``marked`` is the one that was executing.

    :param offset: in bytes from the marked one
    """

    offset: int
    raw: bytes
    text: str
    marked: bool


@dataclass(frozen=True)
class Machine:
    """What the bytes are for, as far as a report's registers tell."""

    architecture: str
    little_endian: bool = True


def machine_of(registers: dict[str, int]) -> Machine | None:
    """The architecture whose registers these are; None if they do not tell."""
    if "rip" in registers or "rax" in registers or ("r15" in registers and "rsp" in registers):
        return Machine("x86_64")
    if "eax" in registers:
        return Machine("i386")
    if "x29" in registers or "x0" in registers:
        return Machine("aarch64")
    if "epc" in registers and ("a0" in registers or "gp" in registers):
        return Machine("riscv64")
    if "nip" in registers or "ctr" in registers:
        wide = any(value >> 32 for value in registers.values())
        return Machine("ppc64" if wide else "ppc", little_endian=False)
    if "psr" in registers or ("r10" in registers and "fp" in registers):
        return Machine("arm")
    return None


def disassemble(code: str, machine: Machine | None) -> list[Instruction]:
    """The instructions of a ``Code:`` line; empty where there is nothing to decode.

    Wants capstone, and is empty without it: the bytes are shown all the same.
    """
    tokens = _TOKEN.findall(code)
    if machine is None or not tokens:
        return []
    mark = next((i for i, (bracket, _) in enumerate(tokens) if bracket), None)
    if machine.architecture in ("x86_64", "i386"):
        raw = bytes(int(digits, 16) for _, digits in tokens if len(digits) == 2)
        return _x86(raw, mark, machine)
    # Instruction words are printed as numbers, whatever the byte order.
    raw = b"".join(
        int(digits, 16).to_bytes(len(digits) // 2, "little" if machine.little_endian else "big")
        for _, digits in tokens
    )
    at = 0 if mark is None else sum(len(digits) // 2 for _, digits in tokens[:mark])
    return _decode(raw, at, 0, machine, mark is not None)


def _x86(raw: bytes, mark: int | None, machine: Machine) -> list[Instruction]:
    if mark is None:
        return _decode(raw, 0, 0, machine, False)
    for start in range(min(mark, _LONGEST_X86) + 1):
        found = _decode(raw, mark, start, machine, True)
        if any(instruction.marked for instruction in found):
            return found
    return _decode(raw, mark, mark, machine, True)


def _decode(
    raw: bytes, mark: int, start: int, machine: Machine, has_mark: bool
) -> list[Instruction]:
    try:
        import capstone  # type: ignore[import-untyped]
    except ImportError:
        return []
    kinds = {
        "x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        "i386": (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
        "aarch64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN),
        "arm": (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM),
        "riscv64": (capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC),
        "ppc64": (capstone.CS_ARCH_PPC, capstone.CS_MODE_64 | capstone.CS_MODE_BIG_ENDIAN),
        "ppc": (capstone.CS_ARCH_PPC, capstone.CS_MODE_32 | capstone.CS_MODE_BIG_ENDIAN),
    }
    decoder = capstone.Cs(*kinds[machine.architecture])
    return [
        Instruction(
            offset=address - mark,
            raw=bytes(raw[address : address + size]),
            text=f"{mnemonic} {operands}".strip(),
            marked=has_mark and address == mark,
        )
        for address, size, mnemonic, operands in decoder.disasm_lite(raw[start:], start)
    ]
