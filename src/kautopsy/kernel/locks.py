"""Locks in use: who holds them, who waits, and the waits-for graph between tasks.

Owners are read where the lock keeps one (mutex, rt_mutex, write-locked rwsem; semaphores since
v6.16 remember ``last_holder``) and inferred where it does not, always with a certainty:

* a reader-owned rwsem keeps its *last* reader (``RWSEM_READER_OWNED``, since v4.20), which may have
  left long ago;
* a completion that is a debt of a known task (:mod:`kautopsy.kernel.debts`);
* readers that queue for a per-CPU rwsem wait for its pending writer
  (``percpu_rw_semaphore.writer``);
* else whoever is inside a function that works on the lock (:mod:`kautopsy.kernel.code`) or has its
  address on the stack, and does not wait for it, is a candidate.

An owner field may lie: a task that ended without giving its mutex back leaves the address of its
``task_struct``, which the next task to be born may get. Whoever was born after the first in the
queue went to sleep cannot have taken the lock: to give it to anybody, its holder would have had to
wake that first one (kernel/locking/mutex.c, ``__mutex_unlock_slowpath``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from drgn import Object, Program, StackFrame
from drgn.helpers.linux.slab import slab_object_info
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.code import Code
from kautopsy.kernel.debts import debts
from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.stacks import unwound
from kautopsy.kernel.tasks import now
from kautopsy.kernel.waits import LockKind, Stacks, Wait, find_waits
from kautopsy.model.base import Unreadable

CERTAIN = 1.0
LAST_READER = 0.7
LAST_HOLDER = 0.75
REFERS = 0.6

ITSELF = 0.6

_FLAGS = 0x7
_EXTENT = 64
_MUTEX_PICKUP = 0x4
_WRITER_LOCKED = 1
_READER_SHIFT = 8
_CLOCKS_DIFFER = 1_000_000_000
"""task_struct.start_time and sched_info.last_arrival are of two clocks (ns)."""


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
        return tuple(wait for wait in self._all if wait.kind is not LockKind.WAIT_QUEUE)

    @cached_property
    def _all(self) -> tuple[Wait, ...]:
        return tuple(find_waits(self.stacks))

    @cached_property
    def events(self) -> tuple[Wait, ...]:
        """Every uninterruptible wait in a plain wait queue."""
        return tuple(
            wait for wait in self._all if wait.kind is LockKind.WAIT_QUEUE and wait.state == "D"
        )

    @cached_property
    def _queues(self) -> dict[int, set[int]]:
        """Tasks that wait for each lock, whichever of its queues they are in."""
        queues: dict[int, set[int]] = {}
        for wait in self._all:
            if wait.lock is not None:
                queues.setdefault(wait.lock, set()).update((wait.task, *wait.queue))
        return queues

    @cached_property
    def event_edges(self) -> tuple[Edge, ...]:
        """Who may have to wake the tasks that sleep uninterruptibly in plain wait queues.

        Guesses, for those tasks only that hold what one of the candidates waits for: what is left
        is a circle of two or more.
        """
        held: dict[int, set[int]] = {}
        for edge in self.edges:
            held.setdefault(edge.owner.task, set()).add(edge.wait.task)
        found = []
        for wait in self.events:
            behind = held.get(wait.task, set())
            if behind and wait.lock is not None:
                for owner in self.candidates(wait.lock, set(wait.queue)):
                    if owner.task in behind:
                        found.append(Edge(wait, owner))
        return tuple(found)

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
            if not raw & _MUTEX_PICKUP and self._task(owner) and self._is_older_than(owner, wait):
                yield Owner(owner, CERTAIN, "mutex.owner")
        elif wait.kind is LockKind.RT_MUTEX:
            yield from self._rt_owner(wait.lock)
        elif wait.kind is LockKind.RWSEM:
            yield from self._rwsem_owner(wait)
        elif wait.kind is LockKind.SEMAPHORE:
            yield from self._semaphore_owner(wait)
        elif wait.kind is LockKind.COMPLETION:
            owed = [(task, how) for done, task, how in self._debts if done == wait.lock]
            for task, how in owed:
                yield Owner(task, CERTAIN, how)
            if not owed:
                yield from self.candidates(wait.lock, set(wait.queue))
        elif wait.kind is LockKind.PERCPU_RWSEM:
            yield from self._percpu_owner(wait)
        elif wait.kind in (LockKind.PAGE, LockKind.BIT):
            yield from self.candidates(wait.lock, set(wait.queue))

    @cached_property
    def _debts(self) -> tuple[tuple[int, int, str], ...]:
        return tuple(debts(self.stacks))

    @cached_property
    def _monotonic(self) -> int | Unreadable:
        return readable(lambda: int(ktime_get_coarse_ns(self.program)))

    def _is_older_than(self, owner: int, wait: Wait) -> bool:
        """Whether ``owner`` existed when the first in the queue of ``wait`` went to sleep."""
        sleeper = self.stacks.sleepers.get(owner)
        task = sleeper.task if sleeper is not None else self.stacks.running.get(owner)
        born = readable(lambda: int(task.start_time)) if task is not None else Unreadable("")
        if isinstance(born, Unreadable) or isinstance(self._monotonic, Unreadable):
            return True
        asleep = [self.stacks.sleepers[one] for one in wait.queue if one in self.stacks.sleepers]
        slept = max((one.age for one in asleep if one.state != "R"), default=wait.age)
        # Both clocks count from boot; where a guest was paused only one of them may have stood.
        apart = abs(now(self.program) - self._monotonic)
        return self._monotonic - born + _CLOCKS_DIFFER + apart + slept // 1000 >= slept

    def dead_owner(self, wait: Wait) -> int | None:
        """What the owner field of a mutex or rwsem says if that is not who took it, else None.

        It is no living task, or one that was born in the place of a dead one.
        """
        kinds = {LockKind.MUTEX: "struct mutex", LockKind.RWSEM: "struct rw_semaphore"}
        if wait.lock is None or wait.kind not in kinds:
            return None
        try:
            lock = Object(self.program, kinds[wait.kind], address=wait.lock)
            owner = int(lock.owner.counter) & ~_FLAGS & 0xFFFF_FFFF_FFFF_FFFF
        except READ_ERRORS:
            return None
        if not owner or (self._task(owner) and self._is_older_than(owner, wait)):
            return None
        return owner

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
            if self._task(owner) and self._is_older_than(owner, wait):
                yield Owner(owner, CERTAIN, "rw_semaphore.owner")
            return
        readers = count >> _READER_SHIFT
        if readers <= 0:
            return
        last = owner if self._task(owner) and owner not in wait.queue else 0
        if last:
            yield Owner(last, LAST_READER, f"last of {readers} readers")
        if not last or readers > 1:
            others = list(self.candidates(wait.lock, set(wait.queue)))
            yield from (one for one in others if one.task != last)
            if not others and owner == wait.task and wait.mode == "write":
                yield Owner(owner, ITSELF, "itself the last reader, and no other is to be seen")

    def _percpu_owner(self, wait: Wait) -> Iterator[Owner]:
        assert wait.lock is not None
        sem = Object(self.program, "struct percpu_rw_semaphore", address=wait.lock)
        writer = int(sem.writer.task)
        if writer != wait.task and self._task(writer):
            yield Owner(writer, CERTAIN, "percpu_rw_semaphore.writer, which waits for readers")
            return
        yield from self.candidates(wait.lock, set(wait.queue))

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

    def candidates(self, lock: int, waiting: set[int]) -> Iterator[Owner]:
        """Tasks that are inside code that works on ``lock`` and do not wait for it.

        Where an object has several locks, those count whose code says which one of them it means.
        """
        low, high = self.extent(lock)
        waiting = waiting | self._queues.get(lock, set())
        found: list[tuple[int, bool]] = []
        for sleeper in self.stacks.sleepers.values():
            if sleeper.address in waiting or sleeper.state not in ("D", "S", "R"):
                continue
            works = self._works_on(sleeper.words, lock, low, high)
            if works is not None:
                found.append((sleeper.address, works))
        for address in self.stacks.running:
            if address not in waiting:
                works = self._running_works_on(address, lock, low, high)
                if works is not None:
                    found.append((address, works))
        exact = [task for task, names_it in found if names_it]
        tasks = exact or [task for task, _ in found]
        for task in tasks:
            yield Owner(task, REFERS if len(tasks) == 1 else REFERS / len(tasks), "works on it")

    def works_on(self, task: int, lock: int) -> bool:
        """Whether anything on the stack of ``task`` has to do with ``lock``."""
        low, high = self.extent(lock)
        sleeper = self.stacks.sleepers.get(task)
        if sleeper is None:
            return self._running_works_on(task, lock, low, high) is not None
        words = sleeper.words
        return (
            not words
            or self._works_on(words, lock, low, high) is not None
            or any(
                self.code.calls_one_that_names(word - 1, lock)
                for word in words
                if self.stacks.names(word)
            )
        )

    def _works_on(self, words: tuple[int, ...], lock: int, low: int, high: int) -> bool | None:
        """None if not; else whether it names this very lock of the object ``[low, high)``."""
        pointed = False
        functions = set()
        for word in words:
            if word == lock:
                return True
            if low <= word < high:
                pointed = True
            elif self.stacks.names(word):
                functions.add(word - 1)
        return self._code_works_on(functions, lock, low, high, pointed)

    def _code_works_on(
        self, functions: Iterable[int], lock: int, low: int, high: int, pointed: bool
    ) -> bool | None:
        refers = pointed
        for function in functions:
            if pointed or self.code.refers_to(function, low, high):
                refers = True
                if self.code.names_member(function, low, lock):
                    return True
        return False if refers else None

    def _running_works_on(self, task: int, lock: int, low: int, high: int) -> bool | None:
        try:
            return self._frames_work_on(unwound(self.stacks.running[task]), lock, low, high)
        except READ_ERRORS:
            return None

    def _frames_work_on(
        self, frames: Iterable[StackFrame], lock: int, low: int, high: int
    ) -> bool | None:
        pointed = False
        functions = []
        for frame in frames:
            if not frame.pc >> 63:
                break
            values = frame.registers().values()
            if lock in values:
                return True
            pointed |= any(low <= value < high for value in values)
            functions.append(frame.pc - 1)
        return self._code_works_on(functions, lock, low, high, pointed)

    def is_worked_on_in(self, lock: int, frames: Iterable[StackFrame]) -> bool:
        """Whether the code of ``frames`` works on ``lock``, or has its address in a register."""
        try:
            return self._frames_work_on(frames, lock, *self.extent(lock)) is not None
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


def who(stacks: Stacks, address: int) -> tuple[int, str]:
    """Pid and name of the task at ``address``."""
    sleeper = stacks.sleepers.get(address)
    if sleeper is not None:
        return sleeper.pid, sleeper.comm
    task = stacks.running[address]
    return int(task.pid), text(task.comm.string_())
