"""What a detector may look at: one dump, opened once, its tables read at most once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar

import msgspec
from drgn import Object, Program

from kautopsy.fingerprint.generic import Role, role
from kautopsy.kernel.cpus import Cpu, cpus, running_stack, stopped_at
from kautopsy.kernel.locks import Locks
from kautopsy.kernel.log import LogLine, log
from kautopsy.kernel.memory import memory_use
from kautopsy.kernel.modules import see_modules
from kautopsy.kernel.processes import Process, processes
from kautopsy.kernel.reading import READ_ERRORS, readable, reason
from kautopsy.kernel.slabs import slab_caches
from kautopsy.kernel.spins import Spin, find_spins
from kautopsy.kernel.stacks import backtrace, kernel_frames, locate, to_frame
from kautopsy.kernel.tasks import task_object, words_of
from kautopsy.kernel.threads import missing
from kautopsy.kernel.workqueues import work_at_hand
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Frame, Kind
from kautopsy.model.dump import DumpFile
from kautopsy.model.finding import Culprit
from kautopsy.model.machine import Consumer, ConsumerKind, MemoryUse
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.symbols.raw_stack import raw_stacks
from kautopsy.triage.culprit import culprit

_R = TypeVar("_R")

LARGEST = 8
"""How many slab caches and processes a report names."""


_TOP = 8
"""Words: what a switch saves (``struct inactive_task_frame`` on x86), an address last."""


def _sizes(program: Program) -> Iterator[Process]:
    return processes(program, {"pid", "comm", "rss"})


class Scene:
    """One dead kernel.

    :param program: of the dump
    :param dump: what the file's own headers say
    :param symbols: where names and types come from
    """

    def __init__(self, program: Program, dump: DumpFile, symbols: Symbols) -> None:
        self.program = program
        self.dump = dump
        self.symbols = symbols
        self.crash = Crash(kind=Kind.UNKNOWN, title="not looked at yet")
        self.told: tuple[Crash, ...] = ()
        """The crashes that the log tells of, oldest first."""
        self.notes: list[str] = []
        """What could not be read or went wrong on the way; told in the report."""
        self.unfinished: list[str] = []
        """What was not looked at to its end: tables and detectors. What was not seen may be."""
        self._frames: dict[int, tuple[Frame, ...]] = {}
        if self.has_types:
            see_modules(program)

    @property
    def has_types(self) -> bool:
        """Whether structs can be read at all."""
        return self.symbols.source not in (SymbolSource.KALLSYMS, SymbolSource.NONE)

    def rows(self, table: Callable[[Program], Iterator[_R]], what: str) -> tuple[_R, ...]:
        """The rows of ``table`` up to the first that cannot be read, which is noted."""
        rows: list[_R] = []
        try:
            for row in table(self.program):
                rows.append(row)
        except READ_ERRORS as error:
            if not isinstance(error, LookupError):  # else this kernel has no such thing
                self.unfinished.append(what)
            self.notes.append(f"{what}: only {len(rows)} could be read: {reason(error)}")
        return tuple(rows)

    @cached_property
    def log(self) -> tuple[LogLine, ...] | Unreadable:
        """The kernel log."""
        try:
            return tuple(log(self.program))
        except READ_ERRORS as error:
            return Unreadable(reason(error))

    @cached_property
    def log_lines(self) -> tuple[str, ...]:
        """The messages of the log without time stamps, one a line; empty if unreadable."""
        if isinstance(self.log, Unreadable):
            return ()
        return tuple(line for record in self.log for line in record.text.split("\n"))

    @cached_property
    def locks(self) -> Locks:
        """The sleeping tasks' stacks and the waits-for graph."""
        return Locks(self.program)

    @cached_property
    def locks_are_partial(self) -> bool:
        """Whether tasks or their stacks are missing, so that a hang may go unseen."""
        problem = readable(lambda: missing(self.program))
        if problem is not None:
            return True
        stacks = self.locks.stacks
        lowest = stacks.names.lowest
        # Where a task sleeps its switch has left an address of the scheduler's on top of its stack.
        lost = sum(
            one.state == "?" or max(words_of(one.raw[: 8 * _TOP]), default=0) < lowest
            for one in stacks.sleepers.values()
            if one.state not in ("Z", "X")
        )
        return bool(lost > len(stacks.sleepers) // 1000)

    def frames(self, task: int) -> tuple[Frame, ...]:
        """Backtrace of the task whose ``task_struct`` is at ``task``."""
        if task not in self._frames:
            self._frames[task] = backtrace(self.program, task_object(self.program, task))
        return self._frames[task]

    def blame(self, task: int) -> Culprit | None:
        """The function that ``task`` is in for a purpose: running or asleep.

        Where all of a kworker's frames are helpers (its work ends in a call of one, and the
        compiler made that a jump) it is the work at hand.
        """
        on_cpu = next((cpu for cpu in self.cpus if cpu.task == task), None)
        found = culprit(self.frames(task) if on_cpu is None else self.cpu_frames(on_cpu))
        if found is not None:
            return found
        function = readable(lambda: work_at_hand(self.program, task))
        return culprit((locate(self.program, function),)) if isinstance(function, int) else None

    def holder(self, task: int, waiter: Culprit | None) -> Culprit | None:
        """As :meth:`blame`, of who holds what ``waiter`` asks for.

        A lock of a module is taken by the module, however deep in the kernel it sleeps then.
        """
        if waiter is not None and waiter.module is not None:
            own = [frame for frame in self.frames(task) if frame.module == waiter.module]
            found = culprit(own)
            if found is not None:
                return found
        return self.blame(task)

    @cached_property
    def memory(self) -> MemoryUse | None:
        """Where the memory was, with its largest holders; None if nothing of that can be read."""
        try:
            use = memory_use(self.program)
        except READ_ERRORS as error:
            self.unfinished.append("memory")
            self.notes.append(f"memory could not be read: {reason(error)}")
            return None
        caches = [
            Consumer(
                kind=ConsumerKind.SLAB,
                name=cache.name,
                bytes=cache.bytes,
                count=cache.objects if isinstance(cache.objects, int) else None,
            )
            for cache in self.rows(slab_caches, "slab caches")
            if isinstance(cache.bytes, int)
        ]
        people = [
            Consumer(kind=ConsumerKind.PROCESS, name=one.comm, bytes=one.rss, pid=one.pid)
            for one in self.rows(_sizes, "processes")
            if isinstance(one.rss, int)
        ]
        largest = [
            *sorted(caches, key=lambda one: -one.bytes)[:LARGEST],
            *sorted(people, key=lambda one: -one.bytes)[:LARGEST],
        ]
        return msgspec.structs.replace(
            use, largest=tuple(sorted(largest, key=lambda one: -one.bytes))
        )

    @cached_property
    def cpus(self) -> tuple[Cpu, ...]:
        """What each CPU was doing."""
        return self.rows(cpus, "CPUs")

    def cpu_frames(self, cpu: Cpu) -> tuple[Frame, ...]:
        """Backtrace of what ``cpu`` was doing, the crash's own frames left out."""
        stack = running_stack(self.program, task_object(self.program, cpu.task))
        if stack is None:
            return ()
        frames = list(kernel_frames(stack))
        start = stopped_at(frames, tick_hangs=cpu.tick_hangs)
        return tuple(to_frame(self.program, frame) for frame in frames[start:])

    @cached_property
    def spins(self) -> tuple[Spin, ...]:
        """CPUs that spin on a lock."""
        try:
            return tuple(find_spins(self.program, self.cpus))
        except READ_ERRORS as error:
            self.unfinished.append("spinning CPUs")
            self.notes.append(f"spinning CPUs could not be found: {reason(error)}")
            return ()

    @cached_property
    def panic_task(self) -> Object | None:
        """``struct task_struct *`` that was running where the kernel stopped, None if it did not.

        A dump taken from outside (``virsh dump``, QMP) of a machine that merely hangs has none.
        """
        try:
            return self.program.crashed_thread().object
        except READ_ERRORS:
            return None

    @cached_property
    def panic_frames(self) -> tuple[Frame, ...]:
        """Backtrace of :attr:`panic_task`."""
        return () if self.panic_task is None else backtrace(self.program, self.panic_task)

    @property
    def raw_frames(self) -> tuple[Frame, ...]:
        """What lay on the stack of the CPU that stopped the machine, for dumps without types.

        Every frame but the first is unreliable.
        """
        for stack in raw_stacks(self.program):
            if any(role(frame.function or "") is Role.REPORTER for frame in stack.frames):
                return stack.frames
        return ()
