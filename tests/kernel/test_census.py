"""What is read of every task at once, against drgn's reading of each member."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drgn import Program

from kautopsy.kernel.census import census
from kautopsy.kernel.members import Members
from kautopsy.kernel.tasks import state_of
from kautopsy.lab.series import SERIES
from kautopsy.lab.specimen import Specimen
from kautopsy.shell.overlay import Overlay
from kautopsy.symbols.ladder import open_program

pytestmark = pytest.mark.guest

LabVmcore = Callable[[str], Specimen]


@pytest.fixture(params=list(SERIES))
def program(request: pytest.FixtureRequest, lab_vmcore: LabVmcore) -> Program:
    return open_program(lab_vmcore(request.param).vmcore, debuginfo=False).program


def test_a_brief_is_what_drgn_reads(program: Program) -> None:
    found = census(program)
    assert len(found.tasks) > 50
    for task, brief in found.tasks:
        assert brief.on_cpu == task.on_cpu.value_()
        assert brief.flags == task.flags.value_()
        assert (brief.pid, brief.tgid) == (task.pid.value_(), task.tgid.value_())
        assert brief.comm == task.comm.string_().decode()
        assert (brief.stack, brief.mm) == (task.stack.value_(), task.mm.value_())
        assert brief.pointer == task.thread.sp.value_()
        assert brief.arrival == task.sched_info.last_arrival.value_()
        assert found.state(task, brief) == state_of(task)


def test_what_cannot_be_read_is_none_and_nothing_else(program: Program) -> None:
    read = Members(program, "struct task_struct", ("pid", "no_such_member", "comm"))
    task, brief = census(program).tasks[0]
    assert read(task.value_()) == (brief.pid, None, brief.raw_comm)
    assert read(0xFFFF_8000_0000_0000) == (None, None, None)
    # A struct that ends where nothing is: what can be read is.
    near = Members(program, "struct list_head", ("next", "prev"))
    end = Program(program.platform)
    end.add_memory_segment(0x1000, 8, lambda at, count, offset, physical: b"\1" * count)
    near._read = end.read
    assert near(0x1000) == (0x0101_0101_0101_0101, None)


def test_a_write_in_the_shell_is_seen(program: Program) -> None:
    task, brief = census(program).tasks[0]
    Overlay(program).write(task.comm.address_, b"renamed\0", physical=False)
    assert brief.comm != "renamed"
    assert census(program).tasks[0][1].comm == "renamed"
