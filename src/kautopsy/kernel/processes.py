"""Processes: how much memory each one holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.rss import Rss
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.threads import threads
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
def processes(program: Program) -> Iterator[Process]:
    """Processes in user space with the memory they hold."""
    page = int(program["PAGE_SIZE"])
    memory = Rss(program)
    for task in threads(program).tasks:
        try:
            mm = task.mm.read_()
            if int(task.pid) == int(task.tgid) and mm:
                yield _row(task, mm, page, memory)
        except READ_ERRORS:
            continue


def _row(task: Object, mm: Object, page: int, memory: Rss) -> Process:
    rss = readable(lambda: memory.of(task, mm))

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
