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
        self._read = program.read
        self._near = struct.Struct("=i")
        places = [
            sizeof(counter) * int(program.constant(name))
            for name in ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES", "MM_SWAPENTS")
        ]
        count, pointer = offsetof(counter, "count"), offsetof(counter, "counters")
        self._counts = [(place + count) // 8 for place in places]
        self._pointers = [(place + pointer) // 8 for place in places]
        self._words = struct.Struct(f"={sizeof(member) // 8}q")
        self._offset = int(offsetof(program.type("struct mm_struct"), "rss_stat"))
        offsets = program["__per_cpu_offset"]
        self._cpus = [int(offsets[cpu]) for cpu in for_each_online_cpu(program)]

    def of(self, mm: Object) -> TaskRss:
        read = self._read
        words = self._words.unpack(read(mm.value_() + self._offset, self._words.size))
        sums = [words[at] for at in self._counts]
        pointers = [words[at] & _WORD for at in self._pointers]
        low, high = min(pointers), max(pointers)
        if high - low > _TOGETHER:
            for number, pointer in enumerate(pointers):
                for offset in self._cpus:
                    (value,) = struct.unpack("=i", read(pointer + offset & _WORD, 4))
                    sums[number] += value
            return TaskRss(*sums)
        # One allocation since 14ef95be6f55 ("kernel/fork: group allocation/free of per-cpu counters
        # for mm struct", v6.6).
        size = high - low + 4
        if size != self._near.size:
            self._near = struct.Struct(f"={size // 4}i")
        unpack = self._near.unpack
        places = [pointer - low >> 2 for pointer in pointers]
        for offset in self._cpus:
            near = unpack(read(low + offset & _WORD, size))
            sums = [known + near[at] for known, at in zip(sums, places, strict=True)]
        return TaskRss(*sums)
