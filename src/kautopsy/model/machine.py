"""What a machine was doing when it died: the facts behind a report's pictures.

Each is read once from the dump and drawn by every renderer: what ran on each CPU, where the memory
was, who waited for whom, and how the tasks that matter came to where they stand.
"""

from __future__ import annotations

from enum import StrEnum

from kautopsy.model.base import Noun, Unreadable
from kautopsy.model.crash import Frame, TaskRef


class CpuContext(StrEnum):
    """What kind of code a CPU was executing; the innermost one where they nest."""

    IDLE = "idle"
    TASK = "task"
    SOFTIRQ = "softirq"
    IRQ = "irq"
    NMI = "nmi"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class CpuState(Noun, frozen=True, kw_only=True):
    """One CPU at the moment of death.

    :param task: what the scheduler had put there, the idle task included (its pid is 0)
    :param function: the innermost function of what it was doing, the crash's own code (the NMI that
        stopped it, ``panic``) left out; None if unknown
    :param runnable: tasks on its run queue, the running one included
    :param crashed: the CPU that reported the crash
    :param note: what is remarkable about it, in a few words: ``no tick for 24 s``
    """

    cpu: int
    context: CpuContext = CpuContext.UNKNOWN
    task: TaskRef | None = None
    function: str | None = None
    module: str | None = None
    runnable: int | None = None
    crashed: bool = False
    note: str = ""


class ConsumerKind(StrEnum):
    """What sort of thing holds memory."""

    PROCESS = "process"
    SLAB = "slab"
    CGROUP = "cgroup"


class Consumer(Noun, frozen=True, kw_only=True):
    """One of the largest holders of memory: a process (its resident set) or a slab cache.

    :param name: a process's comm, a slab cache's name, a cgroup's path
    :param pid: of a process
    :param count: objects in a slab cache
    """

    kind: ConsumerKind
    name: str
    bytes: int
    pid: int | None = None
    count: int | None = None


class MemoryUse(Noun, frozen=True, kw_only=True):
    """Where the memory was, in bytes; parts do not overlap and together never exceed ``total``.

    What none of the parts explains (drivers' own pages, for one) is :attr:`unaccounted`.

    :param total: ``totalram_pages``
    :param anon: anonymous pages of processes
    :param file: the page cache without ``shmem``
    :param shmem: tmpfs and shared anonymous memory
    :param largest: the largest consumers, largest first; they overlap with the parts
    """

    total: int | Unreadable
    free: int | Unreadable
    anon: int | Unreadable
    file: int | Unreadable
    shmem: int | Unreadable
    slab_reclaimable: int | Unreadable
    slab_unreclaimable: int | Unreadable
    kernel_stacks: int | Unreadable
    page_tables: int | Unreadable
    hugetlb: int | Unreadable
    vmalloc: int | Unreadable = 0
    percpu: int | Unreadable = 0
    swap_total: int | Unreadable = 0
    swap_free: int | Unreadable = 0
    largest: tuple[Consumer, ...] = ()

    def parts(self) -> tuple[tuple[str, int], ...]:
        """Field name and bytes of each part that was read, free memory last."""
        names = (
            "anon", "shmem", "file", "hugetlb", "slab_unreclaimable", "slab_reclaimable",
            "vmalloc", "percpu", "kernel_stacks", "page_tables", "free",
        )  # fmt: skip
        values = ((name, getattr(self, name)) for name in names)
        return tuple((name, value) for name, value in values if isinstance(value, int))

    @property
    def unaccounted(self) -> int:
        """Bytes that no part explains; parts that could not be read are in here."""
        if isinstance(self.total, Unreadable):
            return 0
        return max(0, self.total - sum(size for _name, size in self.parts()))


class LockKind(StrEnum):
    """What a task can wait for."""

    MUTEX = "mutex"
    RWSEM_READ = "rwsem-read"
    RWSEM_WRITE = "rwsem-write"
    RT_MUTEX = "rt-mutex"
    SEMAPHORE = "semaphore"
    SPINLOCK = "spinlock"
    RWLOCK = "rwlock"
    COMPLETION = "completion"
    WAIT_QUEUE = "wait-queue"
    WORK = "work"
    IO = "io"
    PAGE = "page"
    PERCPU_RWSEM = "percpu-rwsem"
    BIT = "bit"
    OTHER = "other"


class WaitEdge(Noun, frozen=True, kw_only=True):
    """One task waits for one thing, which perhaps another one holds.

    :param name: of the lock, where it has one: its symbol, or ``struct.member``
    :param address: of the lock in kernel memory
    :param owner: who holds it; None if nobody does or it cannot be known
    :param function: the first telling function of the waiter, above the lock's own code
    :param seconds: how long it has been waiting
    :param cycle: the edge is part of a cycle: a deadlock
    """

    waiter: TaskRef
    lock: LockKind
    name: str | None = None
    address: int | None = None
    owner: TaskRef | None = None
    function: str | None = None
    seconds: float | None = None
    cycle: bool = False


class BacktraceOf(Noun, frozen=True, kw_only=True):
    """The backtrace of a task that matters to the verdict, besides the one that crashed.

    :param role: as in :class:`~kautopsy.model.finding.TaskRole`: ``owner``, ``waiter``, ``victim``
    :param state: as ``ps`` prints it: ``R``, ``D``, ``S`` ...
    :param cpu: it ran on last
    :param seconds: in this state
    :param frames: innermost first
    """

    task: TaskRef
    role: str
    frames: tuple[Frame, ...] | Unreadable
    state: str | None = None
    cpu: int | None = None
    seconds: float | None = None
