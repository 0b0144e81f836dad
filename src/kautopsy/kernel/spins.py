"""CPUs that spin on a lock, and which lock.

On bare metal a contended ``qspinlock`` queues its waiters and the lock word names the last of them;
in a guest without paravirtual spinlocks it is test-and-set (``virt_spin_lock``,
arch/x86/include/asm/qspinlock.h) and says only that it is taken. Who waits is on the CPUs: their
innermost function is a slow path of kernel/locking/, and the lock is its first argument. The slow
paths keep it in RDI or in a register saved across calls; the register whose target looks like a
taken lock is it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Program, StackFrame

from kautopsy.kernel.cpus import Cpu, running_stack, stopped_at
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import kernel_frames
from kautopsy.kernel.tasks import plain, task_object

_SPINNING = (
    "native_queued_spin_lock_slowpath",
    "__pv_queued_spin_lock_slowpath",
    "pv_queued_spin_lock_slowpath",
    "queued_spin_lock_slowpath",
    "queued_read_lock_slowpath",
    "queued_write_lock_slowpath",
    "_raw_spin_lock",
    "_raw_read_lock",
    "_raw_write_lock",
    "do_raw_spin_lock",
)
# The argument first, then what the ABI preserves.
_REGISTERS = ("rdi", "rbx", "rbp", "r12", "r13", "r14", "r15")
_DEPTH = 12


@dataclass(frozen=True)
class Spin:
    """One CPU that spins.

    :param lock: address of the lock, None where no register holds it
    :param held: its low byte says that it is taken
    :param age: nanoseconds since the task, or the interrupt of an idle CPU, got the CPU; a lower
        bound is not known
    :param interrupted: what the spinning code interrupted in the kernel, innermost first
    """

    cpu: Cpu
    lock: int | None
    held: bool
    age: int
    interrupted: tuple[StackFrame, ...] = ()


def find_spins(program: Program, cpus: tuple[Cpu, ...]) -> Iterator[Spin]:
    """The CPUs whose innermost function is a slow path of a spinning lock."""
    for cpu in cpus:
        stack = running_stack(program, task_object(program, cpu.task))
        if stack is None:
            continue
        frames = list(kernel_frames(stack))
        start = stopped_at(frames, tick_hangs=cpu.tick_hangs)
        for frame in frames[start : start + _DEPTH]:
            if frame.is_inline:
                continue
            if plain(frame.name or "").startswith(_SPINNING):
                lock = _lock(program, frame)
                age = cpu.running if isinstance(cpu.running, int) else 0
                beyond = next(
                    (at for at in range(start + 1, len(frames)) if frames[at].interrupted),
                    len(frames),
                )
                yield Spin(cpu, lock, lock is not None, age, tuple(frames[beyond:]))
            break


def _lock(program: Program, frame: StackFrame) -> int | None:
    registers = frame.registers()
    for name in _REGISTERS:
        value = registers.get(name, 0)
        if value < 0xFFFF_8000_0000_0000 or value % 4:
            continue
        try:
            word = program.read_u32(value)
        except READ_ERRORS:
            continue
        # _Q_LOCKED_VAL in the low byte, a tail or a pending bit above (asm-generic/
        # qspinlock_types.h); for an rwlock a writer is 0xff and readers count from bit 9.
        if word & 0xFF in (1, 0xFF) or (word >> 9 and word < 1 << 20):
            return int(value)
    return None
