"""Stacks without an unwinder: their words, the code they may return to, exception frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from drgn import Object, Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.errors import CommandError
from kautopsy.shell.frames import Style, exception
from kautopsy.shell.session import Session
from kautopsy.shell.unwind import PT_REGS_SIZE, Registers, Step, Unwinder, special_stacks

_USER = (0x33, 0x23)
_KERNEL = 0x10


def _stack(session: Session, task: Object) -> tuple[int, bytes]:
    base = int(task.stack)
    size = stack_size(session.program)
    try:
        return base, session.program.read(base, size)
    except READ_ERRORS as error:
        raise CommandError("the stack is not in the dump", thing=hex(base)) from error


def raw_stack(session: Session, task: Object) -> Iterator[str]:
    """All words of a stack, two a line, symbols for what are some."""
    base, raw = _stack(session, task)
    words = [word for (word,) in struct.iter_unpack("<Q", raw)]
    for at in range(0, len(words), 2):
        shown = "  ".join(f"{_named(session.program, word):<16}" for word in words[at : at + 2])
        yield f"{base + 8 * at:x}:  {shown.rstrip()}"


def _named(program: Program, word: int) -> str:
    """``schedule+59`` where ``word`` lies in the kernel or a module, as rd -s."""
    if word >> 31 != 0x1FFFFFFFF:
        return f"{word:016x}"
    try:
        symbol = program.symbol(word)
    except LookupError:
        return f"{word:016x}"
    offset = word - symbol.address
    return f"{symbol.name}+{offset}" if offset else symbol.name


def text_symbols(
    session: Session, task: Object, steps: list[Step], style: Style, *, numbered: bool = False
) -> Iterator[str]:
    """Every word on the stack that is an address in code, from the last known frame upwards.

    Whatever once was returned to is still there: not all of these were on the way to the end.

    :param numbered: as frames, without functions' beginnings, to which nothing returns
    """
    base, raw = _stack(session, task)
    unwinder = Unwinder(session.program)
    start = base
    number = 0
    if steps:
        first = steps[0]
        if not numbered:
            yield f"              START: {first.name or 'unknown'} at {first.pc:x}"
        if base <= first.slot < base + len(raw):
            start = first.slot & ~7
    texts = Texts(session.program)
    for at in range(start - base, len(raw) - 7, 8):
        (word,) = struct.unpack_from("<Q", raw, at)
        if not texts.holds(word):
            continue
        name, offset, module = unwinder.name(word, interrupted=True)
        if not name:
            continue
        if style.offsets:
            name += f"+{offset:#x}" if style.radix == 16 else f"+{offset}"
        if numbered and not offset:
            continue
        place = f"[{base + at:x}] {name} at {word:x}" + (f" [{module}]" if module else "")
        yield f"{f'#{number}':>3} {place}" if numbered else f"  {place}"
        number += 1
    if (found := entry_frame(session, base, len(raw))) is not None:
        yield from exception(session, found, style)


def entry_frame(session: Session, base: int, size: int) -> Registers | None:
    """The registers of user space, at the top of the stack of a task that came from there."""
    unwinder = Unwinder(session.program)
    # TOP_OF_KERNEL_STACK_PADDING: none on x86-64, or two words with FRED (6.9, 5710910980f0).
    for padding in (0, 16):
        found = unwinder.registers_at(base + size - padding - PT_REGS_SIZE)
        if found is not None and found.values["cs"] in _USER and found.values["flags"] & 2:
            return found
    return None


class Texts:
    """Which addresses are code: the kernel's text, and functions of modules by their symbols."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._ranges: list[range] = []
        for low, high in (("_stext", "_etext"), ("_sinittext", "_einittext")):
            try:
                self._ranges.append(
                    range(program.symbol(low).address, program.symbol(high).address)
                )
            except LookupError:
                continue
        self._modules = range(0xFFFF_FFFF_C000_0000, 0xFFFF_FFFF_FF00_0000)
        self._known: dict[int, bool] = {}

    def holds(self, address: int) -> bool:
        """Whether ``address`` is code."""
        if any(address in one for one in self._ranges):
            return True
        if address not in self._modules:
            return False
        known = self._known.get(address)
        if known is None:
            from drgn import SymbolKind

            try:
                known = self._program.symbol(address).kind is not SymbolKind.OBJECT
            except LookupError:
                known = False
            self._known[address] = known
        return known


def exception_frames(session: Session, task: Object) -> Iterator[str]:
    """What looks like a ``struct pt_regs`` on a task's stack (x86-64)."""
    base, raw = _stack(session, task)
    found = False
    for registers in search(session, base, raw):
        found = True
        mode = "USER" if registers.user else "KERNEL"
        yield ""
        yield f"  {mode}-MODE EXCEPTION FRAME AT: {registers.address:x}"
        yield from exception(session, registers, Style())
    if not found:
        yield "(none found)"


def special_frames(session: Session, cpus: list[int]) -> Iterator[str]:
    """Exception frames on the stacks of interrupts and exceptions of some CPUs."""
    program = session.program
    _need_x86(program)
    from kautopsy.shell.unwind import irq_stack

    stacks = [(cpu, "IRQ", irq_stack(program, cpu)) for cpu in cpus]
    for cpu in cpus:
        stacks += [
            (cpu, f"{kind} EXCEPTION", (low, high))
            for low, high, kind in special_stacks(program, only=cpu)
            if kind != "IRQ" and high > low and _there(program, low)
        ]
    for cpu, name, bounds in stacks:
        yield f"CPU {cpu} {name} STACK:"
        yield from _special(session, bounds)
        yield ""


def _there(program: Program, address: int) -> bool:
    """Whether a stack is mapped: those for SEV guests are so only in them."""
    try:
        program.read(address, 8)
    except READ_ERRORS:
        return False
    return True


def _special(session: Session, bounds: tuple[int, int] | None) -> Iterator[str]:
    if bounds is None:
        yield "(no stack)"
        return
    try:
        raw = session.program.read(bounds[0], bounds[1] - bounds[0])
    except READ_ERRORS:
        yield "(not in the dump)"
        return
    found = False
    for registers in search(session, bounds[0], raw):
        found = True
        mode = "USER" if registers.user else "KERNEL"
        yield ""
        yield f"  {mode}-MODE EXCEPTION FRAME AT: {registers.address:x}"
        yield from exception(session, registers, Style())
    if not found:
        yield "(none found)"


def _need_x86(program: Program) -> None:
    from drgn import Architecture

    platform = program.platform
    if platform is None or platform.arch is not Architecture.X86_64:
        raise CommandError("is for x86-64, and this dump is of another machine")


def search(session: Session, base: int, raw: bytes) -> Iterator[Registers]:
    """Plausible exception frames in a stack: segments, flags and pointers that fit together."""
    program = session.program
    _need_x86(program)
    unwinder = Unwinder(program)
    texts = Texts(program)
    for at in range(0, len(raw) - PT_REGS_SIZE + 1, 8):
        ip, cs, flags, sp, ss = struct.unpack_from("<5Q", raw, at + PT_REGS_SIZE - 40)
        if flags & ~0x3F_7FD7 or not flags & 2:
            continue
        if cs in _USER:
            if ss not in (0x2B, 0x23) or ip >> 47 or sp >> 47 or not sp:
                continue
        elif cs != _KERNEL or ss not in (0, 0x18) or not texts.holds(ip) or not sp >> 63:
            continue
        registers = unwinder.registers_at(base + at)
        if registers is not None:
            yield registers
