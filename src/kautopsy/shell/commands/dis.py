"""``dis``: disassemble, with symbols, source lines, and the instruction that failed marked."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drgn import Architecture, PlatformFlags, Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.source import inner_line

if TYPE_CHECKING:
    import capstone  # type: ignore[import-untyped]

_MOST = 1 << 20
_LONGEST_FUNCTION = 1 << 18


@dataclass(frozen=True)
class Instruction:
    """One instruction: its address, its text, its length in bytes."""

    address: int
    text: str
    size: int


@command(
    "dis",
    "disassemble",
    usage="[-rfludxs][-b [num]] [address | symbol | (expression)] [count]",
    arguments=(
        flag("-r", "from the function's start up to and including the address", dest="reverse"),
        flag("-f", "from the address to the end of the function", dest="forward"),
        flag("-l", "source lines (they take DWARF)", dest="lines"),
        flag("-u", "the address is of the current task's user space", dest="user"),
        flag("-x", "offsets in hexadecimal", dest="hexadecimal"),
        flag("-d", "offsets in decimal", dest="decimal"),
        flag("-s", "source lines, where the sources lie where the kernel was built", dest="source"),
        argument("-b", dest="skip", type=int, metavar="num",
                 help="bytes that a kernel of long ago kept behind BUG's ud2a: none are now"),
        argument("where", nargs="*", metavar="address", help="and how many instructions"),
    ),
    drgn='''
    code = prog.read(prog.symbol("vfs_write").address, prog.symbol("vfs_write").size)
    import capstone  # type: ignore[import-untyped]
    list(capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64).disasm(code, 0))
    ''',
)  # fmt: skip
def dis(session: Session, arguments: argparse.Namespace) -> Lines:
    """Instructions from an address on: to the function's end, or as many as count says.

    The instruction at which a CPU stopped or an exception struck is marked with =>. Without an
    address: the function in which the panic task was.
    """
    program = session.program
    faults = stopped(session)
    words = list(arguments.where)
    reverse, forward = arguments.reverse, arguments.forward
    if not words:
        if not faults:
            raise BadArgumentsError("an address is missing", hint="help dis")
        words = [hex(_panicked(session) or max(faults))]
        reverse = not forward
    address = address_of(program, words[0])
    count = _count(words)
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    start, end = _range(session, address, count, arguments, reverse, forward)
    shown = 0
    place = ""
    if arguments.source:
        yield from _source(session, words[0], address, start, end, count)
        return
    for one in instructions(session, start, end, user=arguments.user):
        if reverse and one.address > address:
            break
        if count is not None and shown >= count:
            break
        if arguments.lines and (line := inner_line(program, one.address)) and line != place:
            place = line
            yield line
        shown += 1
        yield _line(session, one, radix, one.address in faults)
    if not shown:
        raise CommandError("no instructions there", thing=f"{address:x}")


def _source(
    session: Session, word: str, address: int, start: int, end: int, count: int | None
) -> Iterator[str]:
    """The function's lines of source, that of ``address`` marked, if they are on this machine."""
    places: list[tuple[int, str, int]] = []
    for one in instructions(session, start, end):
        name, colon, number = inner_line(session.program, one.address).rpartition(": ")
        if colon:
            places.append((one.address, name, int(number)))
    here = next((place for place in reversed(places) if place[0] <= address), None)
    if here is None:
        raise CommandError("source lines take debuginfo (DWARF)", thing=word)
    _address, file, line = here
    yield f"FILE: {file}"
    yield f"LINE: {line}"
    yield ""
    try:
        text = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        raise CommandError("source code is not available", thing=word) from None
    lines = [one[2] for one in places if one[1] == file]
    first = min(lines) if count is None else line
    last = max(lines) if count is None else line + count - 1
    for at in range(first, min(last, len(text)) + 1):
        yield f"{'*' if at == line else ' '} {at:>5} {text[at - 1]}"


def _count(words: list[str]) -> int | None:
    if len(words) == 1:
        return None
    if len(words) > 2 or not re.fullmatch(r"0x[0-9a-fA-F]+|\d+", words[1]):
        raise BadArgumentsError("invalid count", thing=" ".join(words[1:]))
    return min(int(words[1], 0), _MOST)


def _range(
    session: Session,
    address: int,
    count: int | None,
    arguments: argparse.Namespace,
    reverse: bool,
    forward: bool,
) -> tuple[int, int]:
    if arguments.user:
        return address, address + 16 * (count or 1)
    try:
        symbol = session.program.symbol(address)
    except LookupError:
        if reverse:
            raise CommandError("no function there", thing=f"{address:x}") from None
        return address, address + 16 * (count or 1)
    size = symbol.size or function_size(session.program, symbol.address)
    end = symbol.address + min(size, _LONGEST_FUNCTION)
    if reverse:
        return symbol.address, end
    if count is not None:
        return address, max(address + 16 * count, address + 1)
    # An address in the middle of a function without -f: one instruction, as crash.
    if address != symbol.address and not forward:
        return address, address + 1
    return address, end


def function_size(program: Program, start: int) -> int:
    """Bytes to the next symbol, for tables that keep no sizes."""
    for size in range(16, 1 << 14, 16):
        try:
            if program.symbol(start + size).address != start:
                return size
        except LookupError:
            return size
    return 1 << 14


def _panicked(session: Session) -> int | None:
    """Where the panic task was in the kernel when an exception or NMI struck."""
    from kautopsy.shell.commands.bt import frames

    try:
        steps = frames(session, session.first_context())
    except (CommandError, *READ_ERRORS):
        return None
    struck = (step.registers for step in steps if step.registers is not None)
    return next((one.values["ip"] for one in struck if not one.user), None)


def stopped(session: Session) -> frozenset[int]:
    """Where CPUs stopped: the instruction pointers that exceptions and NMIs saved."""

    def find() -> frozenset[int]:
        from kautopsy.shell.commands.bt import frames
        from kautopsy.shell.context import on_cpu, pid_or_task

        found: set[int] = set()
        if not session.has_types or session.live:
            return frozenset()
        for task in on_cpu(session.program):
            try:
                steps = frames(session, pid_or_task(session, f"{task:x}"))
            except (CommandError, *READ_ERRORS):
                continue
            found |= {
                step.registers.values["ip"]
                for step in steps
                if step.registers is not None and not step.registers.user
            }
        return frozenset(found)

    known = session.cached("stopped", find)
    assert isinstance(known, frozenset)
    return known


_X86 = (Architecture.X86_64, Architecture.I386)


def instructions(
    session: Session, start: int, end: int, *, user: bool = False
) -> Iterator[Instruction]:
    """Disassemble ``[start, end)``; an instruction that begins before the end is whole.

    :raises CommandError: its memory is not in the dump, or no disassembler for the machine
    """
    program = session.program
    engine = _engine(program)
    x86 = program.platform is not None and program.platform.arch in _X86
    want = end - start + 16
    raw = b""
    for size in (want, max(1, min(want, 4096 - start % 4096))):
        try:
            if user:
                from kautopsy.shell.commands.struct import user_bytes

                raw = user_bytes(session, start, size)
            else:
                raw = program.read(start, size)
            break
        except READ_ERRORS:
            continue
    if not raw:
        raise CommandError("its memory is not in the dump", thing=f"{start:x}")
    at = 0
    while start + at < end and at < len(raw):
        chunk = next(engine.disasm_lite(raw[at : at + 16], start + at, 1), None)
        if chunk is None:
            yield Instruction(start + at, "(bad)", 1)
            at += 1
            continue
        address, size, mnemonic, operands = chunk
        if x86:
            mnemonic, operands = as_gdb(mnemonic, operands)
        yield Instruction(address, f"{mnemonic:<6} {operands}".rstrip(), size)
        at += size


# What a register says by its name, gdb does not say again by a suffix.
_SUFFIXED = frozenset(
    {
        "mov", "add", "sub", "adc", "sbb", "xor", "and", "or", "cmp", "test", "lea", "push",
        "pop", "inc", "dec", "neg", "not", "shl", "shr", "sar", "sal", "rol", "ror", "xchg",
        "imul", "mul", "div", "idiv", "bt", "bts", "btr", "btc", "cmpxchg", "xadd", "bswap",
        "bsf", "bsr",
    }
)  # fmt: skip


_PLAIN = {
    "callq": "call", "retq": "ret", "jmpq": "jmp", "pushq": "push", "popq": "pop",
    "leaveq": "leave", "iretq": "iretq", "movabsq": "movabs", "pushfq": "pushf", "popfq": "popf",
}  # fmt: skip


def as_gdb(mnemonic: str, operands: str) -> tuple[str, str]:
    """capstone's AT&T syntax as gdb spaces and abbreviates it."""
    operands = operands.replace(", ", ",")
    operands = re.sub(r"\((%\w+),(%\w+)\)", r"(\1,\2,1)", operands)
    if mnemonic.startswith("nop"):
        operands = re.sub(r"^\((%\w+),(%\w+),1\)", r"0x0(\1,\2,1)", operands)
    prefix, _, name = mnemonic.rpartition(" ")
    # 64 bits are what these work on anyway (binutils since 2.35).
    name = _PLAIN.get(name, name)
    register = re.search(r"(?:^|,)%\w+(?:$|,)", re.sub(r"\([^)]*\)", "", operands))
    if register and name[-1:] in "bwlq" and name[:-1] in _SUFFIXED:
        name = name[:-1]
    if name.startswith("cmov") and name[-1:] in "wlq" and len(name) > 5:
        name = name[:-1]
    operands = re.sub(r"(?<=\$)(-?)(\d+)\b(?!x)", _hexadecimal, operands)
    operands = re.sub(r"(?<=\$)-0x([0-9a-f]+)", _unsigned(mnemonic), operands)
    if name in ("stosb", "stosw", "stosl", "stosq"):
        name, operands = "stos", f"{_ACCUMULATOR[name[-1]]},%es:(%rdi)"
    operands = re.sub(r"(?<![\w%])(-?)(\d+)(?=\()", _hexadecimal, operands)
    # The encoding of (%rbp) and (%r13) has a displacement, which gdb shows.
    operands = re.sub(r"(?<![\w)])\((?=%(?:rbp|r13)[,)])", "0x0(", operands)
    return f"{prefix} {name}".strip(), operands


_ACCUMULATOR = {"b": "%al", "w": "%ax", "l": "%eax", "q": "%rax"}


def _unsigned(mnemonic: str) -> Callable[[re.Match[str]], str]:
    """Negative immediates as gdb shows them: in two's complement, as wide as the operation."""
    bits = {"b": 8, "w": 16, "l": 32}.get(mnemonic[-1:], 64)
    return lambda found: f"{(1 << bits) - int(found[1], 16):#x}"


def _hexadecimal(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]):#x}"


def _engine(program: Program) -> capstone.Cs:
    # Loaded here: no other command should pay for it.
    import capstone

    platform = program.platform
    assert platform is not None
    order = (
        capstone.CS_MODE_LITTLE_ENDIAN
        if platform.flags & PlatformFlags.IS_LITTLE_ENDIAN
        else capstone.CS_MODE_BIG_ENDIAN
    )
    known = {
        Architecture.X86_64: (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        Architecture.I386: (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
        Architecture.AARCH64: (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
        Architecture.ARM: (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM),
        Architecture.PPC64: (capstone.CS_ARCH_PPC, capstone.CS_MODE_64 | order),
        Architecture.S390X: (capstone.CS_ARCH_SYSZ, capstone.CS_MODE_BIG_ENDIAN),
        Architecture.RISCV64: (capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64),
    }.get(platform.arch)
    if known is None:
        raise CommandError("no disassembler for this machine's code")
    engine = capstone.Cs(*known)
    if known[0] == capstone.CS_ARCH_X86:
        engine.syntax = capstone.CS_OPT_SYNTAX_ATT
    return engine


# What a branch or call leads to, in AT&T syntax: the only operand, a bare number.
_TARGET = re.compile(r"^((?:j\w+|call\w*|loop\w*|b|bl|cbn?z|tbn?z)\s+.*?)(0x[0-9a-f]+)$")
_RELATIVE = re.compile(r"(-?0x[0-9a-f]+|-?\d+)\(%rip\)")


def _line(session: Session, one: Instruction, radix: int, marked: bool) -> str:
    where = label(session.program, one.address, radix)
    text = one.text
    if found := _TARGET.match(text):
        text = f"{found[1]}{found[2]}{label(session.program, int(found[2], 16), radix)}"
    elif found := _RELATIVE.search(text):
        target = (one.address + one.size + int(found[1], 0)) & 0xFFFF_FFFF_FFFF_FFFF
        text += f"        # {target:#x}{label(session.program, target, radix)}"
    if _is_fentry(session.program, one):
        text += " [FTRACE NOP]"
    mark = "=> " if marked else ""
    return f"{mark}{one.address:#x}{where}:\t{text}"


def _is_fentry(program: Program, one: Instruction) -> bool:
    """The five bytes at a function's start that ftrace patches (``nopl 0x0(%rax,%rax,1)``)."""
    if one.size != 5 or not one.text.startswith("nopl"):
        return False
    try:
        return bool(program.symbol(one.address).address == one.address)
    except LookupError:
        return False


def label(program: Program, address: int, radix: int) -> str:
    """`` <vfs_write+4>``, '' where no symbol covers the address."""
    try:
        symbol = program.symbol(address)
    except LookupError:
        return ""
    offset = address - symbol.address
    if not offset:
        return f" <{symbol.name}>"
    return f" <{symbol.name}+{offset:#x}>" if radix == 16 else f" <{symbol.name}+{offset}>"
