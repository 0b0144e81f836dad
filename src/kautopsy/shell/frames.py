"""Frames on the terminal, in crash's form."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drgn import FaultError, Object, Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.context import header
from kautopsy.shell.session import Session
from kautopsy.shell.source import source_line
from kautopsy.shell.unwind import CLONE, Registers, Step

STACK_END_MAGIC = 0x57AC6E9D
"""include/uapi/linux/magic.h; at the lowest word of every task's stack."""


@dataclass(frozen=True)
class Style:
    """What ``bt`` was asked to show.

    :param offsets: functions with offsets, in ``radix``
    :param full: all stack words of a frame
    :param symbolic: 1: with symbols and [slab caches]; 2: with the addresses of slab objects
    :param variables: local variables
    """

    offsets: bool = False
    radix: int = 10
    lines: bool = False
    full: bool = False
    symbolic: int = 0
    variables: bool = False


def printed(session: Session, task: Object, steps: Iterable[Step], style: Style) -> Iterator[str]:
    """The frames, their exception frames, and the borders between stacks."""
    program = session.program
    known = list(steps)
    for number, step in enumerate(known):
        yield frame_line(number, step, style)
        if style.lines and (place := source_line(program, step.pc - (not step.interrupted))):
            yield f"    {place}"
        if style.variables and step.frame is not None:
            yield from _variables(step)
        following = known[number + 1] if number + 1 < len(known) else None
        if step.registers is not None:
            yield from exception(session, step.registers, style)
        if step.stack and (following is None or step.stack != following.stack) and step.registers:
            name = step.stack if step.stack == "IRQ" else f"{step.stack} exception"
            yield f"--- <{name} stack> ---"
        if style.full and following is not None and step.registers is None:
            yield from stack_words(session, step.slot + 8, following.slot + 8, style)


def frame_line(number: int, step: Step, style: Style) -> str:
    """`` #0 [ffff...] schedule at ffff... [module]``."""
    name = step.name or "(unknown)"
    if style.offsets:
        name += f"+{step.offset:#x}" if style.radix == 16 else f"+{step.offset}"
    module = f" [{step.module}]" if step.module else ""
    return f"{f'#{number}':>3} [{step.slot:x}] {name} at {step.pc:x}{module}"


def exception(session: Session, registers: Registers, style: Style) -> Iterator[str]:
    """An exception frame: where it struck, if in the kernel, and all registers."""
    values = registers.values
    if not registers.user:
        try:
            symbol = session.program.symbol(values["ip"])
        except LookupError:
            where = "unknown or invalid address"
        else:
            offset = values["ip"] - symbol.address
            shown = hex(offset) if style.radix == 16 else str(offset)
            where = f"{symbol.name}+{shown}" if offset else symbol.name
        yield f"    [exception RIP: {where}]"
    yield from register_lines(values)


def register_lines(values: dict[str, int]) -> Iterator[str]:
    """The registers of x86-64, three a line."""
    yield (f"    RIP: {values['ip']:016x}  RSP: {values['sp']:016x}  RFLAGS: {values['flags']:08x}")
    for row in (("ax", "bx", "cx"), ("dx", "si", "di"), ("bp", "r8", "r9"),
                ("r10", "r11", "r12"), ("r13", "r14", "r15")):  # fmt: skip
        yield "    " + "  ".join(
            f"{(name if name[0] == 'r' else 'r' + name).upper():>3}: {values[name]:016x}"
            for name in row
        )
    yield (
        f"    ORIG_RAX: {values['orig_ax']:016x}  CS: {values['cs']:04x}  SS: {values['ss']:04x}"
    )


def _variables(step: Step) -> Iterator[str]:
    frame = step.frame
    assert frame is not None
    for name in frame.locals():
        try:
            value = frame[name]
            shown = "(absent)" if value.absent_ else value.format_(dereference=False)
        except READ_ERRORS:
            shown = "(unreadable)"
        yield f"    {name} = {' '.join(shown.split())}"


def stack_words(session: Session, low: int, high: int, style: Style) -> Iterator[str]:
    """The words of a stack from ``low`` up to ``high``, two a line."""
    try:
        raw = session.program.read(low, high - low)
    except (FaultError, ValueError):
        yield f"    {low:x}: (not in the dump)"
        return
    words = [word for (word,) in struct.iter_unpack("<Q", raw[: len(raw) // 8 * 8])]
    for at in range(0, len(words), 2):
        shown = " ".join(
            f"{word:016x}" if not style.symbolic else f"{symbolic(session, word, style):<16}"
            for word in words[at : at + 2]
        )
        yield f"    {low + 8 * at:x}: {shown.rstrip()}"


def symbolic(session: Session, word: int, style: Style) -> str:
    """A word as ``symbol+offset`` or ``[slab cache]``, where it is one; else 16 digits."""
    program = session.program
    cache = session.cached("symbolic", dict)
    assert isinstance(cache, dict)
    key = (word, style.symbolic)
    if key not in cache:
        cache[key] = _symbolic(program, word, style) if word >> 47 == 0x1FFFF else f"{word:016x}"
    return str(cache[key])


def _symbolic(program: Program, word: int, style: Style) -> str:
    try:
        symbol = program.symbol(word)
    except LookupError:
        pass
    else:
        offset = word - symbol.address
        name = CLONE.sub("", symbol.name)
        return f"{name}+{offset}" if offset else name
    from drgn.helpers.linux.slab import slab_object_info

    try:
        found = slab_object_info(program, word)
    except READ_ERRORS:
        found = None
    if found is not None:
        name = found.slab_cache.name.string_().decode(errors="replace")
        return f"[{word:x}:{name}]" if style.symbolic > 1 else f"[{name}]"
    return f"{word:016x}"


def overflow(session: Session, tasks: Iterable[Object]) -> Iterator[str]:
    """Tasks whose stack shows that it was overrun: its magic word, its thread_info."""
    program = session.program
    size = stack_size(program)
    found = False
    for task in tasks:
        try:
            base = int(task.stack)
            magic = program.read_u64(base)
        except READ_ERRORS:
            continue
        problems: list[str] = []
        # With CONFIG_THREAD_INFO_IN_TASK the lowest word is the magic; else thread_info is there.
        if magic != STACK_END_MAGIC:
            problems.append(f"thread_info/STACK_END_MAGIC: {magic:x}")
        if not problems and not int(task.on_cpu):
            pointer = int(task.thread.sp)
            if not base < pointer < base + size:
                problems.append(f"stack pointer {pointer:x} is outside {base:x}-{base + size:x}")
        if problems:
            found = True
            yield header(task)
            yield from (f"  possible stack overflow: {problem}" for problem in problems)
    if not found:
        yield "No stack overflows detected"
