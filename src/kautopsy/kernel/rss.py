"""Resident memory of processes, cheaply: a machine has ten thousands of them."""

from __future__ import annotations

import struct

from drgn import Object, Program, TypeKind, offsetof, sizeof
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import TaskRss, task_rss

from kautopsy.kernel.reading import known, readable

_WORD = (1 << 64) - 1
_TOGETHER = 64
"""Bytes of per-CPU memory that are read at once."""


class Rss:
    """What processes hold, as ``task_rss()`` tells it, where possible at a tenth of its cost."""

    def __init__(self, program: Program) -> None:
        self._counters = known(readable(lambda: _Counters(program)), None)
        self._program = program

    def of(self, task: Object, mm: Object) -> TaskRss:
        """The pages of a process.

        :param task: ``struct task_struct *``
        :param mm: ``struct mm_struct *``, its ``mm``
        :raises FaultError: they are not in the dump
        """
        if self._counters is not None:
            return self._counters.of(mm)
        return task_rss(self._program, task)


class _Counters:
    """Layout and CPUs of the counters, looked up once.

    Since f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter", v6.2) ``mm.rss_stat`` is
    an array of ``struct percpu_counter``, and what each CPU has not added to it yet lies in
    per-CPU memory.

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
        read = self._program.read
        raw = read(mm.rss_stat.address_, self._size)
        sums = [struct.unpack_from("=q", raw, place + self._count)[0] for place in self._places]
        pointers = [
            struct.unpack_from("=Q", raw, place + self._pointer)[0] for place in self._places
        ]
        low, high = min(pointers), max(pointers)
        # One allocation since 14ef95be6f55 ("kernel/fork: group allocation/free of per-cpu counters
        # for mm struct", v6.6).
        together = high - low <= _TOGETHER
        for offset in self._cpus:
            near = read(low + offset & _WORD, high - low + 4) if together else b""
            for number, pointer in enumerate(pointers):
                if together:
                    (value,) = struct.unpack_from("=i", near, pointer - low)
                else:
                    (value,) = struct.unpack("=i", read(pointer + offset & _WORD, 4))
                sums[number] += value
        return TaskRss(*sums)
