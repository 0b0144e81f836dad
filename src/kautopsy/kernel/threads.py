"""The list of all threads, walked once: every walk asks for types and follows two trees a task."""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Object, Program
from drgn.helpers.linux.cpumask import num_online_cpus, num_possible_cpus
from drgn.helpers.linux.pid import for_each_task

from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import READ_ERRORS, readable, reason
from kautopsy.model.base import Unreadable

_KEY = "kautopsy_threads"


@dataclass(frozen=True)
class Threads:
    """Threads alive, the idle ones left out.

    :param tasks: each a ``struct task_struct *``
    :param cut: why the list ends early, '' if it does not
    """

    tasks: tuple[Object, ...]
    cut: str


def threads(program: Program) -> Threads:
    """All threads of ``program``; as many as can be reached."""
    known = program.cache.get(_KEY)
    if isinstance(known, Threads):
        return known
    tasks: list[Object] = []
    cut = ""
    try:
        for task in for_each_task(program):
            tasks.append(task)
    except READ_ERRORS as error:
        cut = reason(error)
    found = Threads(tuple(tasks), cut)
    program.cache[_KEY] = found
    return found


def count(program: Program) -> int:
    """Threads alive, the idle ones included, as ``crash`` counts them.

    :raises LookupError: the list cannot be followed to its end
    """
    found = threads(program)
    if found.cut:
        raise LookupError(f"the end of the list of tasks: {found.cut}")
    try:
        idle = num_possible_cpus(program)
    except READ_ERRORS:
        idle = num_online_cpus(program)
    return len(found.tasks) + idle


def missing(program: Program) -> str | None:
    """How many tasks the dump lacks, in words; None if it lacks none.

    A dump can be complete by its header and still lack tasks: makedumpfile leaves out pages of
    slabs that a newer kernel describes in a way that it does not know. ``nr_threads``
    (kernel/fork.c) counts all but the idle ones.
    """
    expected = int(variable(program, "nr_threads", "int"))
    found = threads(program)
    # A task being created or reaped is counted on one side only.
    if len(found.tasks) >= expected - 2 - expected // 1000 and not found.cut:
        return None
    why = f" ({found.cut})" if found.cut else ""
    return f"only {len(found.tasks)} of {expected} tasks can be reached: pages are missing{why}"


def missing_in_words(program: Program) -> str | None:
    """As :func:`missing`, also where what it takes to count them is missing."""
    found = readable(lambda: missing(program))
    if isinstance(found, Unreadable):
        return f"its tasks cannot be counted: {found.unreadable}"
    return found
