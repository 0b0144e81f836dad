"""Locks in use: who holds them, who waits, and the waits-for graph between tasks.

Owners are read where the lock keeps one (mutex, rt_mutex, write-locked rwsem; semaphores since
v6.16 remember ``last_holder``) and inferred where it does not, always with a certainty:

* a reader-owned rwsem keeps its *last* reader (``RWSEM_READER_OWNED``, since v4.20);
* ``flush_work()`` waits for a completion that a barrier behind the work carries: the worker that
  runs the work owes it (kernel/workqueue.c, ``struct wq_barrier``);
* ``kthread_stop()`` waits for the thread (``struct kthread.exited``), vfork() for the child
  (``task_struct.vfork_done``);
* else whoever is inside a function that works on the lock (:mod:`kautopsy.kernel.code`) or has its
  address on the stack, and does not wait for it, is a candidate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import msgspec
from drgn import Object, Program, StackFrame
from drgn.helpers.linux.kthread import to_kthread
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.slab import slab_object_info

from kautopsy.kernel.code import Code
from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.waits import LockKind, Stacks, Wait, find_waits

CERTAIN = 1.0
LAST_READER = 0.7
LAST_HOLDER = 0.75
REFERS = 0.6

VFORK = "the vfork child"

_FLAGS = 0x7
_EXTENT = 64
_MUTEX_PICKUP = 0x4
_WRITER_LOCKED = 1
_READER_SHIFT = 8


@dataclass(frozen=True)
class Owner:
    """Who holds a lock, or owes a completion.

    :param certainty: 1 read from the lock itself, less where inferred
    :param how: in words
    """

    task: int
    certainty: float
    how: str


@dataclass(frozen=True)
class Edge:
    """``wait.task`` waits for ``owner.task``."""

    wait: Wait
    owner: Owner


class Locks:
    """All waits of a dump and who they wait for."""

    def __init__(self, program: Program, stacks: Stacks | None = None) -> None:
        self.program = program
        self.stacks = stacks or Stacks(program)
        self.code = Code(program)

    @cached_property
    def waits(self) -> tuple[Wait, ...]:
        """Every wait in a queue of a sleeping lock or a completion; wait queues left out."""
        return tuple(
            wait for wait in find_waits(self.stacks) if wait.kind is not LockKind.WAIT_QUEUE
        )

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The waits-for graph; one lock's owners are looked up once."""
        found: dict[tuple[LockKind, int], tuple[Owner, ...]] = {}
        edges: list[Edge] = []
        for wait in self.waits:
            if wait.lock is None:
                continue
            key = (wait.kind, wait.lock)
            if key not in found:
                try:
                    found[key] = tuple(self._owners(wait))
                except READ_ERRORS:
                    found[key] = ()
            edges.extend(Edge(wait, owner) for owner in found[key])
        return tuple(edges)

    def name_of(self, lock: int) -> str:
        """The lock's symbol, or slab cache and offset in its object, or its address."""
        try:
            symbol = self.program.symbol(lock)
            if lock - symbol.address < max(symbol.size, 1):
                offset = lock - symbol.address
                return str(symbol.name) + (f"+{offset:#x}" if offset else "")
        except LookupError:
            pass
        try:
            info = slab_object_info(self.program, lock)
            if info is not None:
                name = text(info.slab_cache.name.string_())
                return f"{name}+{lock - info.address:#x}"
        except READ_ERRORS:
            pass
        return f"{lock:#x}"

    def extent(self, lock: int) -> tuple[int, int]:
        """The object that ``lock`` is part of: its slab object or variable, at most 64 bytes else.

        Where the symbol table has no sizes a variable ends where the next begins.
        """
        try:
            info = slab_object_info(self.program, lock)
            if info is not None:
                return info.address, info.address + int(info.slab_cache.object_size)
        except READ_ERRORS:
            pass
        try:
            symbol = self.program.symbol(lock)
        except LookupError:
            return lock, lock + _EXTENT
        if lock - symbol.address < symbol.size:
            return symbol.address, symbol.address + symbol.size
        for end in range(lock + 4, lock + _EXTENT, 4):
            try:
                if self.program.symbol(end).address != symbol.address:
                    return lock, end
            except LookupError:
                break
        return lock, lock + _EXTENT

    def _task(self, address: int) -> bool:
        return address in self.stacks.sleepers or address in self.stacks.running

    def _owners(self, wait: Wait) -> Iterator[Owner]:
        assert wait.lock is not None
        if wait.kind is LockKind.MUTEX:
            raw = int(Object(self.program, "struct mutex", address=wait.lock).owner.counter)
            owner = raw & ~_FLAGS & 0xFFFF_FFFF_FFFF_FFFF
            # Handed over to a waiter that has not woken up yet: nobody is stuck on it.
            if not raw & _MUTEX_PICKUP and self._task(owner):
                yield Owner(owner, CERTAIN, "mutex.owner")
        elif wait.kind is LockKind.RT_MUTEX:
            yield from self._rt_owner(wait.lock)
        elif wait.kind is LockKind.RWSEM:
            yield from self._rwsem_owner(wait)
        elif wait.kind is LockKind.SEMAPHORE:
            yield from self._semaphore_owner(wait)
        elif wait.kind is LockKind.COMPLETION:
            owed = tuple(self._completion_owner(wait.lock))
            yield from owed or self.candidates(wait.lock, set(wait.queue))

    def dead_owner(self, wait: Wait) -> int | None:
        """What the owner field of a mutex or rwsem says if that is no living task, else None."""
        kinds = {LockKind.MUTEX: "struct mutex", LockKind.RWSEM: "struct rw_semaphore"}
        if wait.lock is None or wait.kind not in kinds:
            return None
        try:
            lock = Object(self.program, kinds[wait.kind], address=wait.lock)
            owner = int(lock.owner.counter) & ~_FLAGS & 0xFFFF_FFFF_FFFF_FFFF
        except READ_ERRORS:
            return None
        return owner if owner and not self._task(owner) else None

    def _rt_owner(self, lock: int) -> Iterator[Owner]:
        try:
            held = Object(self.program, "struct rt_mutex_base", address=lock)
        except LookupError:
            # Before 830e6acc8a1c ("locking/rtmutex: Split out the inner parts of 'struct
            # rtmutex'", v5.15) the waiter pointed to struct rt_mutex.
            held = Object(self.program, "struct rt_mutex", address=lock)
        owner = int(held.owner) & ~1
        if self._task(owner):
            yield Owner(owner, CERTAIN, "rt_mutex.owner")

    def _rwsem_owner(self, wait: Wait) -> Iterator[Owner]:
        assert wait.lock is not None
        lock = Object(self.program, "struct rw_semaphore", address=wait.lock)
        count = int(lock.count.counter)
        owner = int(lock.owner.counter) & ~_FLAGS & 0xFFFF_FFFF_FFFF_FFFF
        if count & _WRITER_LOCKED:
            if self._task(owner):
                yield Owner(owner, CERTAIN, "rw_semaphore.owner")
            return
        readers = count >> _READER_SHIFT
        if readers <= 0:
            return
        last = owner if self._task(owner) and owner not in wait.queue else 0
        if last:
            yield Owner(last, LAST_READER, f"last of {readers} readers")
        if not last or readers > 1:
            for one in self.candidates(wait.lock, set(wait.queue)):
                if one.task != last:
                    yield one

    def _semaphore_owner(self, wait: Wait) -> Iterator[Owner]:
        assert wait.lock is not None
        lock = Object(self.program, "struct semaphore", address=wait.lock)
        try:
            # Since 3cf67d61ff98 ("hung_task: show the blocker task if the task is hung on
            # semaphore", v6.16), with CONFIG_DETECT_HUNG_TASK_BLOCKER.
            last = int(lock.last_holder)
        except (AttributeError, LookupError):
            last = 0
        # A semaphore can also count events: who took one and waits for the next holds nothing.
        if self._task(last) and last not in wait.queue:
            yield Owner(last, LAST_HOLDER, "semaphore.last_holder")
            return
        yield from self.candidates(wait.lock, set(wait.queue))

    def _completion_owner(self, completion: int) -> Iterator[Owner]:
        for address, owner, how in self._debts:
            if address == completion:
                yield Owner(owner, CERTAIN, how)

    @cached_property
    def _debts(self) -> tuple[tuple[int, int, str], ...]:
        """Completions that a known task owes: (completion, task, how it is known)."""
        debts: list[tuple[int, int, str]] = []
        tasks = [(s.address, s.task) for s in self.stacks.sleepers.values()]
        for address, task in (*tasks, *self.stacks.running.items()):
            try:
                if vfork := int(task.vfork_done):
                    debts.append((vfork, address, VFORK))
            except READ_ERRORS:
                pass
            try:
                flags = int(task.flags)
                if not flags & 0x0020_0000:  # PF_KTHREAD
                    continue
                kthread = to_kthread(task)
                debts.append((int(kthread.exited.address_of_()), address, "the thread to stop"))
                if flags & 0x20:  # PF_WQ_WORKER
                    debts.extend(self._barriers(address, task))
            except READ_ERRORS:
                continue
        return tuple(debts)

    def _barriers(self, address: int, task: Object) -> Iterator[tuple[int, int, str]]:
        worker = Object(self.program, "struct worker *", int(to_kthread(task).data))
        if not worker.current_func:
            return
        barrier = self.program.type("struct wq_barrier")
        for work in list_for_each_entry(
            "struct work_struct", worker.scheduled.address_of_(), "entry"
        ):
            if "wq_barrier_func" in self.stacks.names(int(work.func) + 1):
                found = Object(self.program, barrier, address=int(work))
                yield int(found.done.address_of_()), address, "the worker that runs the work"

    def candidates(self, lock: int, waiting: set[int]) -> Iterator[Owner]:
        """Tasks that are inside code that works on ``lock`` and do not wait for it."""
        low, high = self.extent(lock)
        found: list[int] = []
        for sleeper in self.stacks.sleepers.values():
            if sleeper.address in waiting or sleeper.state not in ("D", "S", "R"):
                continue
            if self._works_on(sleeper.words, low, high):
                found.append(sleeper.address)
        for address in self.stacks.running:
            if address not in waiting and self._running_works_on(address, low, high):
                found.append(address)
        for task in found:
            yield Owner(task, REFERS if len(found) == 1 else REFERS / len(found), "works on it")

    def _works_on(self, words: tuple[int, ...], low: int, high: int) -> bool:
        functions = set()
        for word in words:
            if low <= word < high:
                return True
            if self.stacks.names(word):
                functions.add(word - 1)
        return any(self.code.refers_to(function, low, high) for function in functions)

    def _running_works_on(self, address: int, low: int, high: int) -> bool:
        try:
            return self._frames_work_on(
                self.program.stack_trace(self.stacks.running[address]), low, high
            )
        except READ_ERRORS:
            return False

    def _frames_work_on(self, frames: Iterable[StackFrame], low: int, high: int) -> bool:
        for frame in frames:
            if not frame.pc >> 63:
                break
            if any(low <= value < high for value in frame.registers().values()):
                return True
            if self.code.refers_to(frame.pc - 1, low, high):
                return True
        return False

    def is_worked_on_in(self, lock: int, frames: Iterable[StackFrame]) -> bool:
        """Whether the code of ``frames`` works on ``lock``, or has its address in a register."""
        try:
            return self._frames_work_on(frames, *self.extent(lock))
        except READ_ERRORS:
            return False


def cycles(edges: tuple[Edge, ...]) -> list[tuple[Edge, ...]]:
    """The cycles of the waits-for graph, shortest first, each once.

    A task sleeps in one place, so it waits for the owners of the innermost lock it queued for;
    where several owners are possible all are followed.
    """
    leaving: dict[int, list[Edge]] = {}
    for edge in edges:
        leaving.setdefault(edge.wait.task, []).append(edge)
    found: dict[frozenset[tuple[int, int]], tuple[Edge, ...]] = {}
    for start in leaving:
        # Depth first over simple paths; waits-for graphs are small and nearly trees.
        paths: list[tuple[Edge, ...]] = [(edge,) for edge in leaving[start]]
        steps = 0
        while paths and steps < 10_000:
            steps += 1
            path = paths.pop()
            end = path[-1].owner.task
            if end == start:
                key = frozenset((edge.wait.task, edge.wait.lock or 0) for edge in path)
                found.setdefault(key, path)
                continue
            if any(edge.wait.task == end for edge in path) or len(path) > 64:
                continue
            paths.extend((*path, edge) for edge in leaving.get(end, ()))
    return sorted(found.values(), key=len)


class LockRow(msgspec.Struct, frozen=True):
    """One lock that somebody waits for."""

    kind: Annotated[str, Column("mutex, rwsem, semaphore, rt_mutex, completion")]
    address: Annotated[int, Column("of the lock", unit="address")]
    name: Annotated[str, Column("its symbol, or the slab cache it lies in")]
    owner: Annotated[int | None, Column("pid of who holds it or owes it")]
    owner_comm: Annotated[str, Column("name of the owner")]
    certainty: Annotated[float, Column("1 read from the lock, less where inferred")]
    how: Annotated[str, Column("how the owner is known")]
    waiters: Annotated[int, Column("tasks in its queue")]
    oldest: Annotated[int, Column("longest wait, since the waiter last ran", unit="ns")]


@table
def locks(program: Program) -> Iterator[LockRow]:
    """Sleeping locks and completions that somebody waits for, with their owners."""
    graph = Locks(program)
    seen: dict[tuple[str, int], list[Wait]] = {}
    for wait in graph.waits:
        if wait.lock is not None:
            seen.setdefault((wait.kind.value, wait.lock), []).append(wait)
    owners = {(edge.wait.kind.value, edge.wait.lock): edge.owner for edge in graph.edges}
    for (kind, lock), waiting in seen.items():
        owner = owners.get((kind, lock))
        pid, comm = (None, "") if owner is None else who(graph.stacks, owner.task)
        yield LockRow(
            kind,
            lock,
            graph.name_of(lock),
            pid,
            comm,
            0.0 if owner is None else owner.certainty,
            "" if owner is None else owner.how,
            len(waiting),
            max(wait.age for wait in waiting),
        )


def who(stacks: Stacks, address: int) -> tuple[int, str]:
    """Pid and name of the task at ``address``."""
    sleeper = stacks.sleepers.get(address)
    if sleeper is not None:
        return sleeper.pid, sleeper.comm
    task = stacks.running[address]
    return int(task.pid), text(task.comm.string_())


class WaitsForRow(msgspec.Struct, frozen=True):
    """One edge of the waits-for graph."""

    waiter: Annotated[int, Column("pid")]
    waiter_comm: Annotated[str, Column("name of the waiter")]
    owner: Annotated[int, Column("pid")]
    owner_comm: Annotated[str, Column("name of the owner")]
    kind: Annotated[str, Column("of the lock between them")]
    lock: Annotated[int | None, Column("address of the lock", unit="address")]
    certainty: Annotated[float, Column("that the owner holds it")]
    age: Annotated[int, Column("of the wait", unit="ns")]


@table
def waits_for(program: Program) -> Iterator[WaitsForRow]:
    """The waits-for graph between tasks."""
    graph = Locks(program)
    for edge in graph.edges:
        owner, owner_comm = who(graph.stacks, edge.owner.task)
        yield WaitsForRow(
            edge.wait.pid,
            edge.wait.comm,
            owner,
            owner_comm,
            edge.wait.kind.value,
            edge.wait.lock,
            edge.owner.certainty,
            edge.wait.age,
        )
