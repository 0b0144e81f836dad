"""What is asked of every task, read once: a machine has ten thousands, each on pages of its own."""

from __future__ import annotations

from typing import NamedTuple

from drgn import Object, Program

from kautopsy.kernel.members import Members
from kautopsy.kernel.reading import text
from kautopsy.kernel.tasks import STATE_MEMBERS, States
from kautopsy.kernel.threads import threads

_KEY = "kautopsy_census"


class Brief(NamedTuple):
    """The members of one ``task_struct`` that concern all; None for what cannot be read.

    :param new_state: ``__state``
    :param old_state: ``state``, its name in older kernels
    :param pointer: saved stack pointer, of a task that is not running
    :param arrival: ``sched_info.last_arrival``, nanoseconds
    :param ran: ``se.exec_start``, nanoseconds: when its run time was last brought up to date
    """

    new_state: int | None
    old_state: int | None
    exit_state: int | None
    on_cpu: int | None
    flags: int | None
    pid: int | None
    tgid: int | None
    raw_comm: bytes | None
    stack: int | None
    pointer: int | None
    arrival: int | None
    ran: int | None
    mm: int | None

    @property
    def comm(self) -> str | None:
        """Its name."""
        return None if self.raw_comm is None else text(self.raw_comm.partition(b"\0")[0])

    def asleep(self, clock: int) -> int:
        """Nanoseconds at ``clock`` since it last got a CPU, as far as the dump bears that out.

        Two witnesses, of which the lesser counts, as a lost word makes a sleep long: the moment it
        got a CPU, and the last update of its run time (``update_curr()``, kernel/sched/fair.c),
        which comes at its going to sleep and is on a clock that lags if anything. A moment of 0
        says nothing: its page was lost, or the kernel does not keep it.
        """
        moments = [moment for moment in (self.arrival, self.ran) if moment]
        return max(0, clock - max(moments)) if moments else 0


_MEMBERS = (
    *STATE_MEMBERS,
    "on_cpu",
    "flags",
    "pid",
    "tgid",
    "comm",
    "stack",
    "thread.sp",
    "sched_info.last_arrival",
    "se.exec_start",
    "mm",
)


class Census:
    """All threads alive with what was read of them."""

    def __init__(self, program: Program) -> None:
        read = Members(program, "struct task_struct", _MEMBERS)
        self.tasks: tuple[tuple[Object, Brief], ...] = tuple(
            (task, Brief(*read(task.value_()))) for task in threads(program).tasks
        )
        self._states = States()

    def state(self, task: Object, brief: Brief) -> str:
        """As :func:`~kautopsy.kernel.tasks.state_of`."""
        return self._states.of(task, (brief.new_state, brief.old_state, brief.exit_state))


def census(program: Program) -> Census:
    """The census of ``program``, taken once."""
    known = program.cache.get(_KEY)
    if isinstance(known, Census):
        return known
    found = program.cache[_KEY] = Census(program)
    return found


def forget(program: Program) -> None:
    """Take the next census anew: somebody wrote to the program's memory."""
    program.cache.pop(_KEY, None)
