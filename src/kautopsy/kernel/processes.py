"""Processes: how much memory each one holds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program, TypeKind, offsetof, sizeof
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import TaskRss, task_rss

from kautopsy.kernel.reading import READ_ERRORS, known, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.threads import threads
from kautopsy.model.base import Unreadable

_WORD = (1 << 64) - 1


class Process(msgspec.Struct, frozen=True):
    """One process with an address space of its own."""

    pid: Annotated[int, Column("process id (tgid)")]
    comm: Annotated[str, Column("name of its first thread")]
    threads: Annotated[int | Unreadable, Column("alive")]
    rss: Annotated[int | Unreadable, Column("resident: all kinds of pages", unit="bytes")]
    anon: Annotated[int | Unreadable, Column("resident anonymous pages", unit="bytes")]
    file: Annotated[int | Unreadable, Column("resident file pages", unit="bytes")]
    shmem: Annotated[int | Unreadable, Column("resident shared memory", unit="bytes")]
    swap: Annotated[int | Unreadable, Column("swapped out", unit="bytes")]
    virtual: Annotated[int | Unreadable, Column("mapped", unit="bytes")]
    oom_score_adj: Annotated[int | Unreadable, Column("-1000 never to 1000 first to be killed")]


@table
def processes(program: Program) -> Iterator[Process]:
    """Processes in user space with the memory they hold."""
    page = int(program["PAGE_SIZE"])
    counters = known(readable(lambda: _Counters(program)), None)
    for task in threads(program).tasks:
        try:
            mm = task.mm.read_()
            if int(task.pid) == int(task.tgid) and mm:
                yield _row(program, task, mm, page, counters)
        except READ_ERRORS:
            continue


class _Counters:
    """What processes hold, as ``task_rss()`` tells it, at a tenth of its cost.

    Since f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter", v6.2) ``mm.rss_stat`` is
    an array of ``struct percpu_counter``, and what each CPU has not added to it yet lies in
    per-CPU memory. Machines have ten thousands of processes: layout and CPUs are looked up once.

    :raises LookupError: an older kernel, or one for a single CPU
    """

    def __init__(self, program: Program) -> None:
        member = program.type("struct mm_struct").member("rss_stat").type
        if member.kind != TypeKind.ARRAY:
            raise LookupError("rss_stat is no array")
        counter = member.type
        self._program = program
        self._places = [
            sizeof(counter) * int(program.constant(name))
            for name in ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES", "MM_SWAPENTS")
        ]
        self._size = sizeof(member)
        self._count = offsetof(counter, "count")
        self._pointer = offsetof(counter, "counters")
        offsets = program["__per_cpu_offset"]
        self._cpus = [int(offsets[cpu]) for cpu in for_each_online_cpu(program)]

    def of(self, mm: Object) -> TaskRss:
        """The pages of ``struct mm_struct *mm``.

        :raises FaultError: they are not in the dump
        """
        program = self._program
        raw = program.read(mm.rss_stat.address_, self._size)
        sums = []
        for place in self._places:
            (total,) = struct.unpack_from("=q", raw, place + self._count)
            (pointer,) = struct.unpack_from("=Q", raw, place + self._pointer)
            for offset in self._cpus:
                value = program.read_u32(pointer + offset & _WORD)
                total += value - (value >> 31 << 32)  # s32
            sums.append(total)
        return TaskRss(*sums)


def _row(
    program: Program, task: Object, mm: Object, page: int, counters: _Counters | None
) -> Process:
    rss = readable(lambda: counters.of(mm) if counters else task_rss(program, task))

    def part(name: str) -> int | Unreadable:
        return rss if isinstance(rss, Unreadable) else int(getattr(rss, name)) * page

    return Process(
        pid=int(task.tgid),
        comm=text(task.comm.string_()),
        threads=readable(lambda: int(task.signal.nr_threads)),
        rss=part("total"),
        anon=part("anon"),
        file=part("file"),
        shmem=part("shmem"),
        swap=part("swap"),
        virtual=readable(lambda: int(mm.total_vm) * page),
        oom_score_adj=readable(lambda: int(task.signal.oom_score_adj)),
    )
