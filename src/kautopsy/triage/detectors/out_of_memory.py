"""Out of memory: who ate it.

The OOM killer, or ``vm.panic_on_oom``, says that there was none left (mm/oom_kill.c). The dump says
where it went: the counters of the kernel (kernel/memory.py), its slab caches, the processes. What a
process holds is its business; what the kernel holds and cannot give back is a leak, the more surely
the larger its share: one slab cache, or pages that no counter explains (a driver's own).

A limit of a memory cgroup is another matter: the machine has memory, the group has not.

A machine that still has memory, but has lost much of it to one cache that cannot be shrunk, to
vmalloc or to pages without an account, is suspected of a leak: one dump shows no growth, so the
suspicion is as strong as the share is large. Where a counter could not be read nothing is said of
pages that none explains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kautopsy.kernel.reading import known
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.model.machine import Consumer, ConsumerKind, MemoryUse
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

_GROUP = re.compile(
    r"[Mm]emory cgroup out of memory|constraint=CONSTRAINT_MEMCG|Memory cgroup stats for"
)
_GROUP_NAME = re.compile(r"oom_memcg=([^,]+)|Memory cgroup stats for (\S+?):?$")
# mem_cgroup_print_oom_meminfo(), mm/memcontrol.c
_GROUP_USAGE = re.compile(r"^memory: (usage \d+kB, limit \d+kB)")
_SAID = re.compile(
    r"invoked oom-killer|Out of memory: Killed process|Kernel panic .*[Oo]ut of memory"
)

SHARE = 0.3
"""Of all memory: enough to be called the eater."""
SUSPICIOUS = 0.4
"""Of all memory, held by the kernel itself where nobody lacks any yet."""
_MANY = 1000
"""Objects of a cache, from which on their number is no accident."""
SHORT = 0.02
"""Free share at which a machine is out of memory even if nobody has said so yet."""


_ACCOUNTS = ("free", "anon", "file", "shmem", "slab_unreclaimable", "slab_reclaimable")
"""Counters without which nothing can be said of what none explains."""


@dataclass(frozen=True)
class _Eater:
    kind: Kind
    what: str
    bytes: int
    show: str
    advice: str
    task: TaskRole | None = None
    verb: str = "holds"
    weight: float = 1.0
    """How much of its bytes counts where the largest is sought."""
    along: str = ""
    """Slab caches with about as many objects."""


_UNKNOWN = _Eater(
    Kind.OUT_OF_MEMORY, "what cannot be read", 0, "kmem -i", "Take a dump that is complete."
)


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield at most one finding."""
    said = [line for line in scene.log_lines if _SAID.search(line)]
    grouped = [line for line in scene.log_lines if _GROUP.search(line)]
    memory = scene.memory
    if memory is None or isinstance(memory.total, Unreadable) or not memory.total:
        return
    died = scene.crash.trigger is Trigger.OUT_OF_MEMORY
    free = memory.free if isinstance(memory.free, int) else memory.total
    if not died and not said and free / memory.total > SHORT:
        yield from _suspicion(memory, memory.total)
        return
    if grouped and free / memory.total > 2 * SHORT:
        yield _in_group(scene, grouped, memory)
        return
    yield _global(scene, memory, died, bool(said))


def size(count: int) -> str:
    """Bytes in MiB, or GiB from 10 of them on."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 10 << 30 else f"{count / (1 << 20):.0f} MiB"


def _eaters(memory: MemoryUse) -> Iterator[_Eater]:
    caches = [one for one in memory.largest if one.kind is ConsumerKind.SLAB]
    people = [one for one in memory.largest if one.kind is ConsumerKind.PROCESS]
    # What one holds is a word or two of its own; no part is larger than the whole of its kind.
    caches = _within(caches, memory.slab_unreclaimable, memory.slab_reclaimable)
    people = _within(people, memory.anon, memory.file, memory.shmem)
    if caches:
        yield _slab(caches[0], caches[1:])
    if people:
        yield _process(people[0])
    if isinstance(memory.anon, int) and len(people) > 1:
        yield _Eater(
            Kind.OUT_OF_MEMORY,
            "processes together (anonymous memory), no single one",
            memory.anon,
            "ps -G | sort",
            "Too many or too large processes for this machine: see the list of the largest.",
            verb="hold",
            weight=0.5,  # one that has half of it all is the one to name
        )
    if isinstance(memory.shmem, int):
        yield _Eater(
            Kind.OUT_OF_MEMORY,
            "files in tmpfs and shared memory",
            memory.shmem,
            "mount; ipcs",
            "Look for large files in tmpfs mounts (/dev/shm, /run, /tmp) and limit their size.",
            verb="hold",
        )
    if isinstance(memory.hugetlb, int):
        yield _Eater(
            Kind.OUT_OF_MEMORY,
            "the pool of hugetlb pages",
            memory.hugetlb,
            "kmem -h",
            "Lower vm.nr_hugepages: pages in the pool serve nobody else.",
        )
    if isinstance(memory.page_tables, int):
        yield _Eater(
            Kind.OUT_OF_MEMORY,
            "page tables of processes",
            memory.page_tables,
            "ps",
            "Many processes map the same memory: use huge pages for it.",
            verb="hold",
        )
    for held, what in ((memory.vmalloc, "vmalloc"), (memory.percpu, "per-CPU memory")):
        if isinstance(held, int) and held <= known(memory.total, 0):
            yield _Eater(
                Kind.MEMORY_LEAK, what, held, "kmem -v", f"Find who allocates {what} and keeps it."
            )
    if all(isinstance(getattr(memory, name), int) for name in _ACCOUNTS):
        yield _Eater(
            Kind.MEMORY_LEAK,
            "pages that no counter of the kernel explains (a driver's or module's own)",
            memory.unaccounted,
            "kmem -i",
            "Boot with page_owner=on to learn who allocates them, or unload suspected modules.",
            verb="hold",
        )


def _within(parts: list[Consumer], *whole: int | Unreadable) -> list[Consumer]:
    """Those of ``parts`` that are no larger than all of ``whole``, as far as that is known."""
    limit = sum(known(one, 1 << 60) for one in whole)
    return [one for one in parts if one.bytes <= limit]


def _suspicion(memory: MemoryUse, total: int) -> Iterator[Finding]:
    """A leak under way, at most one."""
    fixed = memory.slab_unreclaimable if isinstance(memory.slab_unreclaimable, int) else 0
    caches = {f"slab cache {one.name} " for one in memory.largest if one.bytes > fixed}
    leaks = [
        eater
        for eater in _eaters(memory)
        if eater.kind is Kind.MEMORY_LEAK and not any(eater.what.startswith(c) for c in caches)
    ]
    largest = max(leaks, key=lambda eater: eater.bytes, default=None)
    if largest is None or largest.bytes / total < SUSPICIOUS:
        return
    share = largest.bytes / total
    holds = f"{largest.what} {largest.verb}"
    yield Finding(
        kind=Kind.MEMORY_LEAK,
        title=f"{holds} {size(largest.bytes)} of {size(total)}: a leak, it seems",
        explanation=(
            f"{holds} {100 * share:.0f}% of memory, and the kernel cannot take it "
            "back. Nobody lacked memory yet. One dump cannot show growth: compare with another "
            "machine of the kind, or with an earlier count."
        ),
        confidence=round(min(0.75, 0.5 + (share - SUSPICIOUS)), 2),
        severity=Severity.FATAL,
        evidence=(
            Evidence(what=largest.what, value=size(largest.bytes), show=largest.show),
            *_belonging(largest),
        ),
        next=(largest.advice,),
        key=_key(Kind.MEMORY_LEAK, largest),
    )


def _belonging(eater: _Eater) -> Iterator[Evidence]:
    if eater.along:
        yield Evidence(what="about as many objects are in", value=eater.along, show="kmem -s")


def _key(kind: Kind, eater: _Eater) -> str:
    return f"{kind.value}:{re.sub(r'[ (].*', '', eater.what.removeprefix('slab cache '))}"


def _slab(cache: Consumer, others: list[Consumer]) -> _Eater:
    count = cache.count or 0
    # Where one thing is made of several objects (an skb and its data, a file and its inode), it is
    # their number that gives it away: kmalloc-2k alone says nothing.
    along = [
        one.name
        for one in others
        if count >= _MANY and one.count and abs(one.count - count) <= count // 20
    ]
    return _Eater(
        Kind.MEMORY_LEAK,
        f"slab cache {cache.name} ({cache.count or 0:,} objects)",
        cache.bytes,
        f"kmem -s {cache.name}",
        f"Find who allocates from {cache.name} and does not free (slub_debug=U, or kmem tracing).",
        along=", ".join(along),
    )


def _process(process: Consumer) -> _Eater:
    pid = process.pid or 0
    return _Eater(
        Kind.OUT_OF_MEMORY,
        f"process {process.name} (pid {pid})",
        process.bytes,
        f"ps -G {pid}; vm {pid}",
        f"Find out why {process.name} needs so much, or limit it (MemoryMax=, ulimit -v).",
        TaskRole(pid=pid, comm=process.name, role="consumer"),
    )


def _global(scene: Scene, memory: MemoryUse, died: bool, said: bool) -> Finding:
    assert isinstance(memory.total, int)
    ranked = sorted(_eaters(memory), key=lambda eater: -eater.bytes * eater.weight) or [_UNKNOWN]
    first = ranked[0]
    share = first.bytes * first.weight / memory.total
    clear = share >= SHARE
    confidence = (0.9 if died else 0.8 if said else 0.6) - (0 if clear else 0.2)
    kind = first.kind if clear else Kind.OUT_OF_MEMORY
    roles = [first.task] if first.task is not None and clear else []
    victim = scene.crash.task
    if died and victim is not None and victim.pid is not None:
        roles.append(TaskRole(pid=victim.pid, comm=victim.comm, role="victim"))
    return Finding(
        kind=kind,
        title=(
            f"out of memory: {first.what} {first.verb} {size(first.bytes)} of {size(memory.total)}"
            if clear
            else "out of memory, with no single eater"
        ),
        explanation=(
            f"The machine has {size(memory.total)} and ran out of it. The most is held by "
            + "; ".join(
                f"{eater.what}: {size(eater.bytes)} ({100 * eater.bytes / memory.total:.0f}%)"
                for eater in ranked[:3]
            )
            + ". "
            + (f"There are about as many objects in {first.along}. " if first.along else "")
            + _although_free(memory)
            + (
                "The kernel itself holds it and cannot give it back, which is a leak, or a limit "
                "that is missing. The task that asked last is a victim."
                if kind is Kind.MEMORY_LEAK
                else "The task that asked last is not to blame unless it is the one named."
            )
        ),
        confidence=round(confidence, 2),
        severity=Severity.FATAL,
        tasks=tuple(roles),
        evidence=(
            *(
                Evidence(what=eater.what, value=size(eater.bytes), show=eater.show)
                for eater in ranked[:4]
            ),
            *_belonging(first),
            Evidence(
                what="free",
                value=size(memory.free) if isinstance(memory.free, int) else str(memory.free),
                show="kmem -i",
            ),
        ),
        next=(first.advice,),
        key=_key(kind, first),
    )


def _although_free(memory: MemoryUse) -> str:
    if not isinstance(memory.free, int) or not isinstance(memory.total, int):
        return ""
    if memory.free < memory.total / 10:
        return ""
    return (
        f"But {size(memory.free)} were free: the request was limited to a zone, a node or large "
        "blocks. "
    )


def _in_group(scene: Scene, lines: list[str], memory: MemoryUse) -> Finding:
    match = next((m for line in lines if (m := _GROUP_NAME.search(line))), None)
    group = (match[1] or match[2]) if match else "a memory cgroup"
    said = next((line for line in reversed(lines) if "Killed" in line or "oom_memcg=" in line), "")
    said = said or lines[-1]
    usage = [match for line in scene.log_lines if (match := _GROUP_USAGE.search(line))]
    task = scene.crash.task
    died = scene.crash.trigger is Trigger.OUT_OF_MEMORY
    roles: tuple[TaskRole, ...] = ()
    if died and task is not None and task.pid is not None:
        roles = (TaskRole(pid=task.pid, comm=task.comm, role="consumer"),)
    free = size(memory.free) if isinstance(memory.free, int) else "unknown"
    return Finding(
        kind=Kind.OUT_OF_MEMORY,
        title=f"out of memory within {group}",
        explanation=(
            f"{group} reached its own limit; the machine as a whole had {free} free. The limit is "
            "too low for what runs inside, or something inside leaks."
        ),
        confidence=0.85 if died else 0.6,
        severity=Severity.FATAL,
        tasks=roles,
        evidence=(
            Evidence(what="reported", value=said[:200], show="log"),
            *(
                Evidence(what=f"memory of {group}", value=match[1], show="log | grep usage")
                for match in usage[-1:]
            ),
        ),
        next=(f"Compare memory.max of {group} with what its processes need.",),
        key="out-of-memory:cgroup",
    )
