"""Processes: how much memory each one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program

from kautopsy.kernel.census import census
from kautopsy.kernel.reading import readable
from kautopsy.kernel.rss import Rss
from kautopsy.kernel.table import EVERYTHING, NOT_WANTED, Column, Wanted, table
from kautopsy.model.base import Unreadable


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
def processes(program: Program, wanted: Wanted = EVERYTHING) -> Iterator[Process]:
    """Processes in user space with the memory they hold."""
    page = int(program["PAGE_SIZE"])
    memory = Rss(program)
    kind = program.type("struct mm_struct *")
    for task, brief in census(program).tasks:
        if not brief.mm or brief.pid is None or brief.pid != brief.tgid:
            continue
        comm = brief.comm
        if comm is not None:
            yield _row(task, brief.pid, comm, Object(program, kind, brief.mm), page, memory, wanted)


def _row(
    task: Object, pid: int, comm: str, mm: Object, page: int, memory: Rss, wanted: Wanted
) -> Process:
    rss = readable(lambda: memory.of(task, mm))

    parts: tuple[int | Unreadable, ...]
    if isinstance(rss, Unreadable):
        parts = (rss,) * 5
    else:
        kinds = (rss.file, rss.anon, rss.shmem, rss.swap)
        parts = (rss.total * page, *[pages * page for pages in kinds])
    total, file, anon, shmem, swap = parts

    def of(name: str, read: Callable[[], int]) -> int | Unreadable:
        return readable(read) if name in wanted else NOT_WANTED

    return Process(
        pid=pid,
        comm=comm,
        threads=of("threads", lambda: int(task.signal.nr_threads)),
        rss=total,
        anon=anon,
        file=file,
        shmem=shmem,
        swap=swap,
        virtual=of("virtual", lambda: int(mm.total_vm) * page),
        oom_score_adj=of("oom_score_adj", lambda: int(task.signal.oom_score_adj)),
    )
