"""Who waits for which lock: found on the stacks of sleeping tasks, without debuginfo for locals.

Every sleeping lock of Linux queues a small struct that lives on the waiter's own stack and points
to the waiter's ``task_struct``: ``mutex_waiter``, ``rwsem_waiter`` and ``semaphore_waiter`` (list,
task, ...: kernel/locking/mutex.h, rwsem.c, semaphore.c), ``swait_queue`` for completions (task,
list: include/linux/swait.h), ``wait_queue_entry`` (flags, private, func, entry) and
``rt_mutex_waiter`` (trees, task, lock). So a word on a task's stack that equals the task's own
address marks a candidate; it counts if the list links around it are consistent
(``next->prev == node``). From there the list leads to the lock: its head is the one node that is
not on the stack of the task it would belong to. Since v7.1 mutex, rwsem and semaphore have no list
head but a ``first_waiter`` pointer, and the lock is sought among the pointers on the waiter's stack
and in its saved registers.

A ``wait_queue_entry`` says by its wake function what the wait is about: per-CPU rwsems queue with
``percpu_rwsem_wake_function``, the lock of a page with ``wake_page_function`` (``struct
wait_page_queue`` around it names the page), bit locks with ``wake_bit_function`` (``struct
wait_bit_queue_entry``). The writer of a per-CPU rwsem that waits for readers to leave is in no
queue but in ``percpu_rw_semaphore.writer``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated

import msgspec
from drgn import Object, Program, offsetof

from kautopsy.kernel.census import census
from kautopsy.kernel.reading import READ_ERRORS, readable
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.tasks import (
    Names,
    now,
    sleeps_in,
    stack_bytes,
    stack_size,
    words_of,
)

_KERNEL = 0xFFFF_8000_0000_0000
_MAX_QUEUE = 10_000
_NEAR_TOP = 96
"""Words of a sleeping stack in which the way from a lock into the scheduler fits, many times."""
_SAVED_REGISTERS = 6  # struct inactive_task_frame: r15, r14, r13, r12, bx, bp, then ret_addr


class LockKind(StrEnum):
    """What a task can wait for."""

    MUTEX = "mutex"
    RWSEM = "rwsem"
    SEMAPHORE = "semaphore"
    RT_MUTEX = "rt_mutex"
    COMPLETION = "completion"
    SPINLOCK = "spinlock"
    PERCPU_RWSEM = "percpu_rwsem"
    PAGE = "page lock"
    BIT = "bit lock"
    WAIT_QUEUE = "wait queue"


# The function whose frame holds the waiter, by a stem of its name. The list-first waiters have
# one layout, so only the code that queued them tells them apart.
_STEMS: tuple[tuple[str, LockKind], ...] = (
    ("__mutex_lock", LockKind.MUTEX),
    ("__ww_mutex_lock", LockKind.MUTEX),
    ("mutex_lock", LockKind.MUTEX),
    ("rwsem_down_", LockKind.RWSEM),
    ("down_read", LockKind.RWSEM),
    ("down_write", LockKind.RWSEM),
    ("__down", LockKind.SEMAPHORE),
    ("___down_common", LockKind.SEMAPHORE),
    ("down", LockKind.SEMAPHORE),
)
_LOCK_STEMS = tuple(stem for stem, _ in _STEMS)
_COMPLETION_STEMS = ("wait_for_completion", "__wait_for_common", "wait_for_common")
_ALL_STEMS = (*_LOCK_STEMS, *_COMPLETION_STEMS, "rt_mutex_", "__rt_mutex_", "rt_spin_lock")
_WQ_FLAG_CUSTOM = 0x04  # include/linux/wait.h: a reader, in the queue of a per-CPU rwsem
_PG_LOCKED = 0  # enum pageflags, its first


@dataclass(frozen=True)
class Wait:
    """One task in one queue.

    :param lock: address of the lock, None where the waiter was found but not its lock
    :param mode: ``read`` or ``write`` for an rwsem
    :param queue: tasks in the queue, in order, the waiter itself included
    :param function: that queued it
    :param age: nanoseconds since the task last ran
    """

    task: int
    pid: int
    comm: str
    state: str
    kind: LockKind
    lock: int | None
    mode: str
    queue: tuple[int, ...]
    function: str
    age: int


@dataclass(frozen=True)
class Sleeper:
    """A task that is not running, with its stack."""

    task: Object
    address: int
    pid: int
    comm: str
    state: str
    age: int
    pointer: int
    raw: bytes
    base: int

    @cached_property
    def words(self) -> tuple[int, ...]:
        """The stack from the saved pointer to its top; of most tasks nobody asks for all."""
        return words_of(self.raw)

    @property
    def state_is_borne_out(self) -> bool:
        """Whether the scheduler counted it among those in D when it went to sleep, if it is in D.

        ``__schedule()`` notes that in ``sched_contributes_to_load``, another word than the state.
        Not counted are tasks that a freezer put there.
        """
        counted = readable(lambda: bool(self.task.sched_contributes_to_load))
        return self.state != "D" or counted is not False


class Stacks:
    """The stacks of all sleeping tasks, read once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.names = Names(program)
        self.sleepers: dict[int, Sleeper] = {}
        self.running: dict[int, Object] = {}
        clock = now(program)
        self._size = stack_size(program)
        everybody = census(program)
        for task, brief in everybody.tasks:
            address = task.value_()
            if brief.on_cpu:
                self.running[address] = task
                continue
            base, pointer, pid, comm = brief.stack, brief.pointer, brief.pid, brief.comm
            if brief.on_cpu is None or base is None or pointer is None or pid is None:
                continue
            if comm is None:
                continue
            self.sleepers[address] = Sleeper(
                task,
                address,
                pid,
                comm,
                everybody.state(task, brief),
                brief.asleep(clock),
                pointer,
                stack_bytes(program, pointer, base),
                base,
            )

    def on_stack_of(self, address: int, task: int) -> bool:
        """Whether ``address`` lies on the stack of the sleeping task at ``task``."""
        sleeper = self.sleepers.get(task)
        return sleeper is not None and sleeper.base <= address < sleeper.base + self._size


def _word(program: Program, address: int) -> int:
    return int(program.read_u64(address))


def _linked(program: Program, node: int, following: int, previous: int) -> bool:
    """Whether ``node`` is in a circular list: its neighbours point back."""
    if following < _KERNEL or previous < _KERNEL or following % 8 or previous % 8:
        return False
    try:
        return _word(program, following + 8) == node and _word(program, previous) == node
    except READ_ERRORS:
        return False


def _ring(
    stacks: Stacks, node: int, task_offset: int
) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
    """Tasks and nodes of the list around ``node`` in order, and its head if it has one.

    :param task_offset: from a node to its waiter's ``task`` member
    """
    tasks: list[int] = []
    nodes: list[int] = []
    head: int | None = None
    at = node
    for _ in range(_MAX_QUEUE):
        try:
            task = _word(stacks.program, at + task_offset)
        except READ_ERRORS:
            task = 0
        if stacks.on_stack_of(at, task):
            tasks.append(task)
            nodes.append(at)
        elif head is None:
            head = at
            # What follows the head is first in the queue.
            split = len(tasks)
        else:
            return (), (), None
        at = _word(stacks.program, at)
        if at == node:
            break
    if head is not None:
        tasks = tasks[split:] + tasks[:split]
        nodes = nodes[split:] + nodes[:split]
    return tuple(tasks), tuple(nodes), head


def _queued_by(sleeper: Sleeper, index: int, names: Names, stems: tuple[str, ...]) -> str:
    """The function whose frame holds word ``index``, if its name begins with one of ``stems``.

    It called the scheduler, so its return address is the first of a matching name above the saved
    stack pointer. Words of the frames in between may be left over from earlier calls; that is why
    the nearest return address is not good enough.
    """
    for at in range(_SAVED_REGISTERS, index):
        name = names(sleeper.words[at])
        if name and name.startswith(stems):
            return name
    return ""


class _Layout:
    """Offsets that the search needs; None where this kernel has not the member."""

    def __init__(self, program: Program) -> None:
        def offset(kind: str, member: str) -> int | None:
            try:
                return int(offsetof(program.type(kind), member))
            except LookupError:
                return None

        self.heads = {
            LockKind.MUTEX: offset("struct mutex", "wait_list"),
            LockKind.RWSEM: offset("struct rw_semaphore", "wait_list"),
            LockKind.SEMAPHORE: offset("struct semaphore", "wait_list"),
        }
        self.firsts = {
            LockKind.MUTEX: offset("struct mutex", "first_waiter"),
            LockKind.RWSEM: offset("struct rw_semaphore", "first_waiter"),
            LockKind.SEMAPHORE: offset("struct semaphore", "first_waiter"),
        }
        self.rwsem_type = offset("struct rwsem_waiter", "type")
        self.completion = offset("struct completion", "wait.task_list")
        self.wait_queue = offset("struct wait_queue_head", "head")
        # Since 7f26482a872c ("locking/percpu-rwsem: Remove the embedded rwsem", v5.7).
        self.percpu = offset("struct percpu_rw_semaphore", "waiters.head")
        self.percpu_writer = offset("struct percpu_rw_semaphore", "writer.task")
        self.page_entry = offset("struct wait_page_queue", "wait")
        self.page_bit = offset("struct wait_page_queue", "bit_nr")
        self.bit_entry = offset("struct wait_bit_queue_entry", "wq_entry")
        self.rt_task = offset("struct rt_mutex_waiter", "task")
        self.rt_lock = offset("struct rt_mutex_waiter", "lock")


def _first_waiter_lock(
    stacks: Stacks, sleeper: Sleeper, nodes: tuple[int, ...], offset: int
) -> int | None:
    """The lock whose ``first_waiter`` is in the queue, among the pointers on the stack."""
    wanted = set(nodes)
    seen: set[int] = set()
    stack = range(sleeper.base, sleeper.base + stack_size(stacks.program))
    for word in sleeper.words:
        # A pointer to a waiter looks like one to a lock: its list leads back to itself.
        if word < _KERNEL or word % 8 or word in seen or word in stack:
            continue
        seen.add(word)
        try:
            if _word(stacks.program, word + offset) in wanted:
                return int(word)
        except READ_ERRORS:
            continue
    return None


def find_waits(stacks: Stacks, *, queues: bool = False) -> Iterator[Wait]:
    """Every wait of every sleeping task for a lock or a completion.

    :param queues: waits in plain wait queues too, which is where most tasks of a machine are
    """
    layout = _Layout(stacks.program)
    lowest = stacks.names.lowest
    seen: dict[int, tuple[bool, bool]] = {}
    for sleeper in stacks.sleepers.values():
        # A stack is a hundred words, a machine has thousands, most of which sleep in the same few
        # places: look for the names first, and once for each of these.
        locks = writes = False
        for word in words_of(sleeper.raw[: 8 * _NEAR_TOP]):
            if word >= lowest:
                if word not in seen:
                    name = stacks.names(word)
                    write = name.startswith("percpu_down_write")
                    seen[word] = name.startswith(_ALL_STEMS), write
                lock, write = seen[word]
                locks |= lock
                writes |= write
        # What queues in a wait queue to take a lock does so uninterruptibly.
        if not (queues or sleeper.state == "D" or locks):
            continue
        if sleeper.address.to_bytes(8, "little") in sleeper.raw:
            for index, word in enumerate(sleeper.words):
                wait = _at(stacks, layout, sleeper, index) if word == sleeper.address else None
                if wait is not None:
                    yield wait
        if writes:
            pending = _pending_writer(stacks, layout, sleeper)
            if pending is not None:
                yield pending


def _at(stacks: Stacks, layout: _Layout, sleeper: Sleeper, index: int) -> Wait | None:
    words = sleeper.words
    address = sleeper.pointer + 8 * index
    program = stacks.program

    def wait(
        kind: LockKind,
        lock: int | None,
        queue: tuple[int, ...],
        function: str,
        mode: str = "",
    ) -> Wait:
        return Wait(
            sleeper.address,
            sleeper.pid,
            sleeper.comm,
            sleeper.state,
            kind,
            lock,
            mode,
            queue,
            function,
            sleeper.age,
        )

    # mutex_waiter, rwsem_waiter, semaphore_waiter: list, task.
    if index >= 2 and _linked(program, address - 16, words[index - 2], words[index - 1]):
        function = _queued_by(sleeper, index, stacks.names, _LOCK_STEMS)
        for stem, kind in _STEMS:
            if not function.startswith(stem):
                continue
            queue, nodes, head = _ring(stacks, address - 16, 16)
            lock: int | None = None
            head_offset, first = layout.heads[kind], layout.firsts[kind]
            if head is not None and head_offset is not None:
                lock = head - head_offset
            elif first is not None:
                lock = _first_waiter_lock(stacks, sleeper, nodes, first)
            mode = ""
            if kind is LockKind.RWSEM and layout.rwsem_type is not None:
                # enum rwsem_waiter_type { RWSEM_WAITING_FOR_WRITE, RWSEM_WAITING_FOR_READ }
                waiting = program.read_u32(address - 16 + layout.rwsem_type)
                mode = "read" if waiting == 1 else "write"
            return wait(kind, lock, queue, function, mode)
    # swait_queue: task, list.
    if index + 2 < len(words) and _linked(program, address + 8, words[index + 1], words[index + 2]):
        function = _queued_by(sleeper, index, stacks.names, _COMPLETION_STEMS)
        queue, _, head = _ring(stacks, address + 8, -8)
        if function and head is not None and layout.completion is not None:
            return wait(LockKind.COMPLETION, head - layout.completion, queue, function)
    # wait_queue_entry: flags, private, func, entry.
    if (
        1 <= index < len(words) - 3
        and layout.wait_queue is not None
        and stacks.names(words[index + 1] + 1)
        and _linked(program, address + 16, words[index + 2], words[index + 3])
    ):
        return _in_queue(stacks, layout, sleeper, index)
    # rt_mutex_waiter: trees, task, lock.
    if layout.rt_task is not None and layout.rt_lock is not None:
        waiter = address - layout.rt_task
        if waiter == _rt_blocked_on(sleeper.task):
            lock = _word(program, waiter + layout.rt_lock)
            function = sleeps_in(words, stacks.names)
            return wait(LockKind.RT_MUTEX, lock, (sleeper.address,), function)
    return None


def _in_queue(stacks: Stacks, layout: _Layout, sleeper: Sleeper, index: int) -> Wait:
    """The wait of the ``wait_queue_entry`` whose ``private`` is word ``index``."""
    words, program = sleeper.words, stacks.program
    entry = sleeper.pointer + 8 * (index - 1)
    queue, _, head = _ring(stacks, entry + 24, -16)
    kind, lock, mode = LockKind.WAIT_QUEUE, None, ""
    if head is not None and layout.wait_queue is not None:
        lock = head - layout.wait_queue
    wake = stacks.names(words[index + 1] + 1)
    if wake == "percpu_rwsem_wake_function" and head is not None and layout.percpu is not None:
        kind, lock = LockKind.PERCPU_RWSEM, head - layout.percpu
        mode = "read" if words[index - 1] & _WQ_FLAG_CUSTOM else "write"
    elif wake == "wake_page_function" and None not in (layout.page_entry, layout.page_bit):
        assert layout.page_entry is not None and layout.page_bit is not None
        around = entry - layout.page_entry
        if program.read_u32(around + layout.page_bit) == _PG_LOCKED:
            kind, lock = LockKind.PAGE, _word(program, around)
    elif wake == "wake_bit_function" and layout.bit_entry is not None:
        kind, lock = LockKind.BIT, _word(program, entry - layout.bit_entry)
    if kind in (LockKind.PAGE, LockKind.BIT):
        # Pages and bits share a few hash buckets of queues: the neighbours wait for others.
        queue = (sleeper.address,)
    return Wait(
        sleeper.address,
        sleeper.pid,
        sleeper.comm,
        sleeper.state,
        kind,
        lock,
        mode,
        queue,
        sleeps_in(words, stacks.names),
        sleeper.age,
    )


def _pending_writer(stacks: Stacks, layout: _Layout, sleeper: Sleeper) -> Wait | None:
    """The wait of a writer that has shut a per-CPU rwsem and waits for its readers to leave."""
    if layout.percpu_writer is None:
        return None
    stack = range(sleeper.base, sleeper.base + stack_size(stacks.program))
    for word in dict.fromkeys(sleeper.words[:_NEAR_TOP]):
        if word < _KERNEL or word % 8 or word in stack:
            continue
        try:
            if _word(stacks.program, word + layout.percpu_writer) != sleeper.address:
                continue
        except READ_ERRORS:
            continue
        return Wait(
            sleeper.address,
            sleeper.pid,
            sleeper.comm,
            sleeper.state,
            LockKind.PERCPU_RWSEM,
            word,
            "write",
            (sleeper.address,),
            "percpu_down_write",
            sleeper.age,
        )
    return None


def _rt_blocked_on(task: Object) -> int | None:
    try:
        return int(task.pi_blocked_on) or None
    except READ_ERRORS:
        return None


class WaitRow(msgspec.Struct, frozen=True):
    """One task in one queue."""

    pid: Annotated[int, Column("of the waiter")]
    comm: Annotated[str, Column("of the waiter")]
    state: Annotated[str, Column("of the waiter")]
    age: Annotated[int, Column("since the waiter last ran", unit="ns")]
    kind: Annotated[str, Column("of what it waits for")]
    mode: Annotated[str, Column("read or write, for an rwsem")]
    lock: Annotated[int | None, Column("address of the lock", unit="address")]
    function: Annotated[str, Column("that queued the waiter")]
    queue: Annotated[int, Column("tasks in the queue")]


@table
def waits(program: Program) -> Iterator[WaitRow]:
    """Tasks that wait in the queue of a lock, a completion or a wait queue."""
    for wait in find_waits(Stacks(program), queues=True):
        yield WaitRow(
            wait.pid,
            wait.comm,
            wait.state,
            wait.age,
            wait.kind.value,
            wait.mode,
            wait.lock,
            wait.function,
            len(wait.queue),
        )
