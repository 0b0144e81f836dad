"""Tasks: who exists, in which state, since when, waiting where."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program, SymbolKind, cast
from drgn.helpers.linux.cgroup import cgroup_path
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.sched import cpu_rq, task_cpu, task_state_to_char
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.members import Members
from kautopsy.kernel.reading import READ_ERRORS, known, readable, text
from kautopsy.kernel.rss import Rss
from kautopsy.kernel.table import EVERYTHING, NOT_WANTED, Column, Wanted, table
from kautopsy.kernel.threads import threads
from kautopsy.model.base import Unreadable

PF_KTHREAD = 0x00200000
PF_WQ_WORKER = 0x00000020


class Task(msgspec.Struct, frozen=True):
    """One thread."""

    pid: Annotated[int, Column("thread id (task_struct.pid)")]
    tgid: Annotated[int, Column("process id")]
    ppid: Annotated[int | Unreadable, Column("process id of the parent")]
    comm: Annotated[str, Column("name")]
    address: Annotated[int, Column("of the task_struct", unit="address")]
    state: Annotated[
        str, Column("R runs or wants to, S sleeps, D sleeps uninterruptibly, I idles, T, t, Z, X")
    ]
    cpu: Annotated[int, Column("where it runs or ran last")]
    on_cpu: Annotated[bool, Column("was running when the machine stopped")]
    kernel: Annotated[bool, Column("is a kernel thread")]
    idle: Annotated[int | Unreadable, Column("time since it last got a CPU", unit="ns")]
    iowait: Annotated[bool, Column("sleeps in io_schedule()")]
    wchan: Annotated[str, Column("function it sleeps in, scheduler and locks skipped")]
    rss: Annotated[int | Unreadable, Column("memory in use by its process", unit="bytes")]
    cgroup: Annotated[str | Unreadable, Column("path in the default hierarchy")]


_ASTRAY = 60_000_000_000
"""Nanoseconds that no CPU's clock is ahead: an idle one's moves every few seconds."""


def now(program: Program) -> int:
    """The local clock when the kernel stopped: nanoseconds since boot, as in the log.

    The clock of an idle CPU's runqueue stands still, so the latest of all of them counts; but not
    one that is far ahead of all others and of the timekeeper, as all ages would grow with it.
    """
    read = (
        readable(lambda cpu=cpu: int(cpu_rq(program, cpu).clock))  # type: ignore[misc]
        for cpu in for_each_possible_cpu(program)
    )
    clocks = sorted(clock for clock in read if not isinstance(clock, Unreadable))
    keeper = known(readable(lambda: int(ktime_get_coarse_ns(program))), 0)
    while len(clocks) > 1 and clocks[-1] > max(clocks[-2], keeper) + _ASTRAY:
        clocks.pop()
    return clocks[-1] if clocks else 0


def state_of(task: Object) -> str:
    """One letter; ``?`` where it cannot be read."""
    try:
        return task_state_to_char(task)
    except MemoryError:
        raise
    except Exception:  # drgn's is a bare one where the kernel's task_state_array is damaged
        return "?"


# ``state`` was the name of ``__state`` before 2f064a59a11f ("sched: Change task_struct::state",
# v5.14).
STATE_MEMBERS = ("__state", "state", "exit_state")


class States:
    """The letters of :func:`state_of`, which is asked once for equal words."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int | None, ...], str] = {}

    def of(self, task: Object, words: tuple[int | None, ...]) -> str:
        """One letter; ``?`` where it cannot be read.

        :param words: its :data:`STATE_MEMBERS`; None for what cannot be read
        """
        letter = self._seen.get(words)
        if letter is None:
            letter = self._seen[words] = state_of(task)
        return letter


def _states(program: Program) -> Callable[[Object], str]:
    read, states = Members(program, "struct task_struct", STATE_MEMBERS), States()
    return lambda task: states.of(task, read(task.value_()))


def idle_since(task: Object, clock: int) -> int | Unreadable:
    """Nanoseconds since ``task`` last got a CPU (``sched_info.last_arrival``)."""
    return readable(lambda: max(0, clock - int(task.sched_info.last_arrival)))


def stack_size(program: Program) -> int:
    """``THREAD_SIZE``, bytes."""
    size = program.cache.get("kautopsy_stack_size")
    if size is None:
        size = program.cache["kautopsy_stack_size"] = int(program["THREAD_SIZE"])
    return int(size)


def saved_stack(task: Object) -> tuple[int, tuple[int, ...]]:
    """A sleeping task's stack: the saved stack pointer and the words from there to the top.

    Words that the dump lacks end it early.

    :param task: ``struct task_struct *`` that is not running
    """
    pointer = int(task.thread.sp)
    return pointer, words_of(stack_bytes(task.prog_, pointer, int(task.stack)))


def stack_bytes(program: Program, pointer: int, base: int) -> bytes:
    """As :func:`saved_stack`, of the stack at ``base`` whose stack pointer is known: the bytes."""
    size = stack_size(program)
    if not base < pointer < base + size or pointer % 8:
        return b""
    try:
        raw: bytes = program.read(pointer, base + size - pointer)
    except READ_ERRORS:
        end = (pointer | 0xFFF) + 1
        try:
            raw = program.read(pointer, end - pointer)
        except READ_ERRORS:
            return b""
    return raw


def words_of(raw: bytes) -> tuple[int, ...]:
    """The 64-bit words of a stack."""
    return struct.unpack(f"<{len(raw) // 8}Q", raw)


class Names:
    """Names of text addresses, each looked up once: threads share their return addresses."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._seen: dict[int, str] = {}
        try:
            start, end = (program.symbol(name).address for name in ("_stext", "_etext"))
        except LookupError:
            start, end = 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_FF00_0000
        self._text = range(start, end + 1)
        # Between the kernel's image and the vsyscall page, x86-64: where modules are.
        self._modules = range((end | 0xFFFFFF) + 1, 0xFFFF_FFFF_FF00_0000)
        self.lowest = min(start, self._modules.start)
        """No text is below: a quick question before the slow one."""

    def __call__(self, address: int) -> str:
        """The function that a call returning to ``address`` was made from, '' if it is no text."""
        if address not in self._text and address not in self._modules:
            return ""
        name = self._seen.get(address)
        if name is None:
            name = ""
            with contextlib.suppress(LookupError):
                symbol = self._program.symbol(address - 1)
                # The first byte of a function is a pointer to it, not what a call returns to.
                starts = self._program.symbol(address).address == address
                if symbol.kind is not SymbolKind.OBJECT and not starts:
                    name = plain(symbol.name)
            self._seen[address] = name
        return name


def plain(name: str) -> str:
    """A function's name in the source: without what the compiler added.

    GCC clones functions as ``name.constprop.0``, ``.isra.0``, ``.part.0`` and moves unlikely code
    to ``name.cold``; LLVM appends ``.llvm.123``.
    """
    return name.partition(".")[0] or name


_SCHEDULER = frozenset(
    {
        "__schedule",
        "schedule",
        "schedule_preempt_disabled",
        "schedule_timeout",
        "io_schedule",
        "io_schedule_timeout",
        "context_switch",
        "__switch_to_asm",
        "__switch_to",
        "preempt_schedule_common",
        "__cond_resched",
        "schedule_hrtimeout_range",
        "schedule_hrtimeout_range_clock",
    }
)


def sleeps_in(words: tuple[int, ...], names: Names) -> str:
    """The first function above the scheduler on a sleeping task's stack; '' if none is found."""
    # inactive_task_frame: six saved registers, then the return address (into __schedule).
    for word in words[6:200]:
        name = names(word)
        if name and name not in _SCHEDULER:
            return name
    return ""


@table
def tasks(program: Program, wanted: Wanted = EVERYTHING) -> Iterator[Task]:
    """Every thread alive, the idle threads left out."""
    row = _Rows(program, wanted)
    for task in threads(program).tasks:
        yield row(task)


def _resident(task: Object, rss: Rss) -> int:
    """Pages of the process of ``task``; kernel threads have none, even where they borrow an mm."""
    mm = task.mm.read_()
    return rss.of(task, mm).total if mm and not int(task.flags) & PF_KTHREAD else 0


class _Rows:
    """Makes rows; a column that nobody wants is empty, what threads share is read once."""

    def __init__(self, program: Program, wanted: Wanted) -> None:
        self._wanted = {name for name in Task.__struct_fields__ if name in wanted}
        self._clock = now(program) if "idle" in wanted else 0
        self._names = Names(program)
        self._groups: dict[int, str | Unreadable] = {}
        self._memory: dict[int, int | Unreadable] = {}
        self._rss = Rss(program)
        self._state = _states(program) if "state" in wanted else state_of
        self._page = int(program["PAGE_SIZE"])

    def __call__(self, task: Object) -> Task:
        wanted = self._wanted
        running = not wanted.isdisjoint(("on_cpu", "idle", "wchan")) and bool(task.on_cpu)
        return Task(
            pid=int(task.pid) if "pid" in wanted else 0,
            tgid=int(task.tgid) if "tgid" in wanted else 0,
            ppid=readable(lambda: int(task.real_parent.tgid)) if "ppid" in wanted else NOT_WANTED,
            comm=text(task.comm.string_()) if "comm" in wanted else "",
            address=task.value_(),
            state=self._state(task) if "state" in wanted else "",
            cpu=task_cpu(task) if "cpu" in wanted else 0,
            on_cpu=running,
            kernel="kernel" in wanted and bool(int(task.flags) & PF_KTHREAD),
            idle=(0 if running else idle_since(task, self._clock)) if "idle" in wanted else 0,
            iowait="iowait" in wanted and bool(task.in_iowait),
            wchan=self._sleeps_in(task) if "wchan" in wanted and not running else "",
            rss=self._resident(task) if "rss" in wanted else NOT_WANTED,
            cgroup=self._group(task) if "cgroup" in wanted else NOT_WANTED,
        )

    def _sleeps_in(self, task: Object) -> str:
        words = readable(lambda: saved_stack(task)[1])
        return "" if isinstance(words, Unreadable) else sleeps_in(words, self._names)

    def _resident(self, task: Object) -> int | Unreadable:
        tgid = int(task.tgid)
        if tgid not in self._memory:
            self._memory[tgid] = readable(lambda: _resident(task, self._rss) * self._page)
        return self._memory[tgid]

    def _group(self, task: Object) -> str | Unreadable:
        css_set = readable(lambda: int(task.cgroups))
        key = 0 if isinstance(css_set, Unreadable) else css_set
        if key not in self._groups:
            self._groups[key] = readable(lambda: text(cgroup_path(task.cgroups.dfl_cgrp)))
        return self._groups[key]


def task_object(program: Program, address: int) -> Object:
    """``struct task_struct *`` at ``address``."""
    return cast("struct task_struct *", Object(program, "unsigned long", address))
