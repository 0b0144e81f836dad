"""Kernel stacks as crash walks them: the slots of return addresses, exception frames, stack names.

drgn's unwinder (ORC or DWARF) finds the frames; this module lays them out as crash does. Three
things differ from a plain unwind. crash shows each frame by the stack slot that holds its return
address. A CPU that crash_kexec() ran on is shown from machine_kexec() on, although the registers
were saved one function earlier, or are those of the exception that led there. And a CPU that was
stopped by the crash's NMI is shown from the NMI handler on, its interrupted context after an
exception frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from drgn import Architecture, Object, Program, StackFrame

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.errors import CommandError

CLONE = re.compile(r"\.(?:isra|part|constprop)\.\d+")
"""What gcc appends to functions that it changed; crash shows their names in the source."""
MAX_FRAMES = 256
PT_REGS = [
    "r15",
    "r14",
    "r13",
    "r12",
    "bp",
    "bx",
    "r11",
    "r10",
    "r9",
    "r8",
    "ax",
    "cx",
    "dx",
    "si",
    "di",
    "orig_ax",
    "ip",
    "cs",
    "flags",
    "sp",
    "ss",
]
"""``struct pt_regs`` of x86-64, from its lowest address (arch/x86/include/asm/ptrace.h)."""
PT_REGS_SIZE = 8 * len(PT_REGS)


@dataclass(frozen=True)
class Registers:
    """An exception frame: ``address`` of the struct pt_regs and its values by name."""

    address: int
    values: dict[str, int]

    @property
    def user(self) -> bool:
        """Whether it was user code that was interrupted."""
        return bool(self.values["cs"] & 3)


@dataclass(frozen=True)
class Step:
    """One frame.

    :param slot: the address that crash shows: of the return address, or the stack pointer where
        registers tell the program counter
    :param pc: program counter
    :param name: function, with the suffixes that the compiler gave it; '' if not known
    :param offset: into the function, bytes
    :param module: name, '' for the kernel itself
    :param interrupted: ``pc`` was about to run, not called from
    :param registers: the exception frame that was pushed where this frame was entered
    :param stack: what kind of stack it lies on: '' for the task's own, else ``IRQ``, ``NMI`` …
    :param frame: drgn's
    """

    slot: int
    pc: int
    name: str
    offset: int
    module: str
    interrupted: bool
    registers: Registers | None = None
    stack: str = ""
    frame: StackFrame | None = field(default=None, repr=False)


class Unwinder:
    """Unwinds tasks of one program; remembers the names of what it has seen."""

    def __init__(self, program: Program) -> None:
        self.program = program
        platform = program.platform
        self.x86 = platform is not None and platform.arch is Architecture.X86_64
        self._names: dict[int, tuple[str, int, str]] = {}
        self._stacks: list[tuple[int, int, str]] | None = None

    def name(self, pc: int, *, interrupted: bool) -> tuple[str, int, str]:
        """Function, offset and module of ``pc``; a return address belongs to the call before it."""
        key = pc if interrupted else -pc
        known = self._names.get(key)
        if known is None:
            inside = pc if interrupted or pc == 0 else pc - 1
            try:
                symbol = self.program.symbol(inside)
            except LookupError:
                known = ("", 0, "")
            else:
                name = CLONE.sub("", symbol.name)
                known = (name, pc - symbol.address, self._module(inside))
            self._names[key] = known
        return known

    def _module(self, address: int) -> str:
        from kautopsy.kernel.stacks import module_at

        return module_at(self.program, address) or ""

    def task(self, task: Object, cpu: int | None = None) -> list[Step]:
        """The frames of a task, innermost first.

        :param task: ``struct task_struct *``
        :param cpu: where it was running, None if it was not
        :raises CommandError: it cannot be unwound
        """
        try:
            trace = self.program.stack_trace(task)
        except READ_ERRORS as error:
            raise CommandError(f"cannot be unwound: {error}") from error
        steps = list(self._steps(trace, running=cpu is not None))
        if cpu is not None and self.x86 and steps:
            steps = (
                self._from_nmi(steps, cpu)
                or self._from_kexec(steps)
                or self._from_oops(steps, task, cpu)
                or steps
            )
        return steps

    def from_registers(self, ip: int, sp: int, bp: int = 0) -> list[Step]:
        """The frames from given registers on (x86-64)."""
        values = {"ip": ip, "sp": sp, "bp": bp, "cs": 0x10, "ss": 0x18}
        regs = Object(self.program, "struct pt_regs", value=values)
        try:
            steps = list(self._steps(self.program.stack_trace(regs)))
        except READ_ERRORS as error:
            raise CommandError(f"cannot be unwound: {error}") from error
        return steps

    def _steps(self, trace: object, *, running: bool = True) -> Iterator[Step]:
        """The steps of drgn's trace; a sleeping task's first frame was called from, as others."""
        frames = [frame for frame in trace if not frame.is_inline]  # type: ignore[attr-defined]
        held: Step | None = None
        for at, frame in enumerate(frames[:MAX_FRAMES]):
            try:
                pc, sp = frame.pc, frame.sp
            except LookupError:
                break
            if at and not pc >> 63:
                # The boundary to user space: what follows is not the kernel's.
                break
            interrupted = (running or at > 0) and (at == 0 or frame.interrupted)
            name, offset, module = self.name(pc, interrupted=interrupted)
            registers = self._pushed(frames, at, sp) if self.x86 else None
            held = Step(
                slot=sp if interrupted else sp - 8,
                pc=pc,
                name=name,
                offset=offset,
                module=module,
                interrupted=interrupted,
                registers=registers,
                stack=self.stack_of(sp - 1) if self.x86 and (registers or at == 0) else "",
                frame=frame,
            )
            yield held

    def _pushed(self, frames: list[StackFrame], at: int, sp: int) -> Registers | None:
        """The exception frame at ``sp``, if the next frame's registers were taken from there."""
        if at + 1 < len(frames) and not frames[at + 1].interrupted:
            return None
        found = self.registers_at(sp)
        if found is None:
            return None
        if at + 1 < len(frames):
            try:
                return found if found.values["ip"] == frames[at + 1].pc else None
            except LookupError:
                return None
        return found if found.user and found.values["cs"] in (0x33, 0x23) else None

    def registers_at(self, address: int) -> Registers | None:
        """``struct pt_regs`` at ``address``, whatever it holds."""
        try:
            raw = self.program.read(address, PT_REGS_SIZE)
        except READ_ERRORS:
            return None
        words = struct.unpack(f"<{len(PT_REGS)}Q", raw)
        return Registers(address, dict(zip(PT_REGS, words, strict=True)))

    def stack_of(self, address: int) -> str:
        """The kind of a stack that is no task's: ``IRQ``, ``NMI``, ``DOUBLEFAULT`` …; else ''."""
        if self._stacks is None:
            self._stacks = list(special_stacks(self.program))
        for low, high, kind in self._stacks:
            if low <= address < high:
                return kind
        return ""

    def _from_kexec(self, steps: list[Step]) -> list[Step] | None:
        """The call to machine_kexec() lies below where the registers were saved."""
        top = steps[0]
        slot = top.slot - 8
        if top.name not in ("__crash_kexec", "crash_kexec", "machine_crash_shutdown"):
            return None
        word = self._word(slot)
        name, offset, module = self.name(word, interrupted=False)
        if name != top.name:
            return None
        try:
            symbol = self.program.symbol("machine_kexec")
        except LookupError:
            return None
        for lower in range(slot - 8, slot - 0x200, -8):
            inner = self._word(lower)
            if symbol.address < inner <= symbol.address + max(symbol.size, 1):
                kexec = Step(
                    lower, inner, "machine_kexec", inner - symbol.address, "", interrupted=False
                )
                return [kexec, Step(slot, word, name, offset, module, interrupted=False),
                        *steps[1:]]  # fmt: skip
        return None

    def _from_nmi(self, steps: list[Step], cpu: int) -> list[Step] | None:
        """From the NMI handler that stopped this CPU, if it led to where it was stopped."""
        return self._from("crash_nmi_callback", nmi_stacks(self.program, cpu), steps[0].pc)

    def _from_oops(self, steps: list[Step], task: Object, cpu: int) -> list[Step] | None:
        """From machine_kexec(), where the registers that were saved are those of the exception.

        What it itself was called with is not known: where a caller keeps its frame in rbp, the
        way from there on is found from the next return that is.
        """
        low = int(task.stack)
        stacks = [(low, low + stack_size(self.program))]
        stacks += [(low, high) for low, high, _ in special_stacks(self.program, only=cpu)]
        head: list[Step] = []
        for name in ("machine_kexec", "__crash_kexec", "crash_kexec", "oops_end", "die"):
            if found := self._from(name, stacks, steps[0].pc):
                return [*(one for one in head if one.slot < found[0].slot), *found]
            head = head or self._from(name, stacks, None) or []
        return None

    def _from(
        self, name: str, stacks: Iterable[tuple[int, int]], interrupted: int | None
    ) -> list[Step] | None:
        """From a return into the function ``name`` that led away from ``interrupted``.

        :param interrupted: program counter; None: from wherever
        """
        try:
            symbol = self.program.symbol(name)
        except LookupError:
            return None
        for low, high in stacks:
            try:
                raw = self.program.read(low, high - low)
            except READ_ERRORS:
                continue
            for at, (word,) in enumerate(struct.iter_unpack("<Q", raw)):
                if not symbol.address < word <= symbol.address + symbol.size:
                    continue
                slot = low + 8 * at
                try:
                    found = self.from_registers(word, slot + 8)
                except CommandError:
                    continue
                if interrupted is None or any(
                    step.interrupted and step.pc == interrupted for step in found[1:]
                ):
                    first = found[0]
                    name, offset, module = self.name(word, interrupted=False)
                    top = Step(slot, word, name, offset, module, interrupted=False,
                               registers=first.registers, stack=first.stack)  # fmt: skip
                    return [top, *found[1:]]
        return None

    def _word(self, address: int) -> int:
        try:
            return int(self.program.read_u64(address))
        except READ_ERRORS:
            return 0


# The order of struct cea_exception_stacks (arch/x86/include/asm/cpu_entry_area.h); crash's names.
_EXCEPTIONS = {"DF": "DOUBLEFAULT", "NMI": "NMI", "DB": "DEBUG", "MCE": "MCE", "VC": "#VC"}


def special_stacks(program: Program, *, only: int | None = None) -> Iterator[tuple[int, int, str]]:
    """The stacks of interrupts and exceptions of every CPU, or of one: low, high, name."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu

    for cpu in for_each_possible_cpu(program) if only is None else [only]:
        yield from _exception_stacks(program, cpu)
        found = irq_stack(program, cpu)
        if found is not None:
            yield (*found, "IRQ")


def irq_stack(program: Program, cpu: int) -> tuple[int, int] | None:
    """The hard interrupt stack of a CPU.

    ``pcpu_hot.hardirq_stack_ptr`` since 6.2 (d7b6d709a76a), per-CPU ``hardirq_stack_ptr`` before
    and again since 6.15; it points to its top less 8 (since 5.12, 951c2a51ae75).
    """
    from drgn.helpers.linux.percpu import per_cpu

    for name, member in (("hardirq_stack_ptr", ""), ("pcpu_hot", "hardirq_stack_ptr")):
        try:
            value = per_cpu(program[name], cpu)
            top = int(value.member_(member) if member else value)
        except READ_ERRORS:
            continue
        if top:
            top = (top + 0xFFF) & ~0xFFF
            return top - stack_size(program), top
    return None


def _exception_stacks(program: Program, cpu: int) -> Iterator[tuple[int, int, str]]:
    from drgn.helpers.linux.percpu import per_cpu

    try:
        area = per_cpu(program["cea_exception_stacks"], cpu).read_()
        members = area.type_.type.members or ()
    except READ_ERRORS:
        return
    for member in members:
        if member.name and member.name.endswith("_stack"):
            kind = member.name.removesuffix("_stack")
            part = area.member_(member.name)
            low = part.address_ or 0
            yield low, low + (part.type_.length or 0), _EXCEPTIONS.get(kind, kind)


def nmi_stacks(program: Program, cpu: int) -> Iterator[tuple[int, int]]:
    """The NMI stack of a CPU, and without one of its own the others."""
    for low, high, kind in _exception_stacks(program, cpu):
        if kind == "NMI":
            yield low, high
