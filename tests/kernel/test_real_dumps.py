"""Tables of real dumps, read without debuginfo, against what the guests said while they lived."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drgn import Program
from drgn.helpers.linux.mm import task_rss, task_vsize
from drgn.helpers.linux.pid import find_task

from kautopsy.kernel.cpus import cpus
from kautopsy.kernel.log import log
from kautopsy.kernel.memory import memory_use, zones
from kautopsy.kernel.modules import modules
from kautopsy.kernel.mounts import mounts
from kautopsy.kernel.network import net_devices
from kautopsy.kernel.processes import processes
from kautopsy.kernel.slabs import slab_caches
from kautopsy.kernel.table import tables
from kautopsy.kernel.tasks import tasks
from kautopsy.kernel.threads import missing
from kautopsy.lab.series import SERIES
from kautopsy.lab.specimen import Specimen
from kautopsy.model.base import Unreadable
from kautopsy.symbols.ladder import open_program

pytestmark = pytest.mark.guest

LabVmcore = Callable[[str], Specimen]


@pytest.fixture(params=list(SERIES))
def made(request: pytest.FixtureRequest, lab_vmcore: LabVmcore) -> tuple[Specimen, Program]:
    found = lab_vmcore(request.param)
    return found, open_program(found.vmcore, debuginfo=False).program


def test_tables_agree_with_the_living_guest(made: tuple[Specimen, Program]) -> None:
    truth, program = made
    assert missing(program) is None
    rows = list(tasks(program))
    # The shell that asked and the one that crashed are not the same moment.
    assert abs(len(rows) - truth.facts.threads) <= 4
    [writer] = [row for row in rows if row.pid == truth.writer.pid]
    assert (writer.comm, writer.on_cpu, writer.cpu) == (truth.writer.comm, True, truth.cpu)
    assert sorted(row.name for row in modules(program)) == list(truth.facts.modules)
    assert memory_use(program).total == truth.facts.memory_kib * 1024
    assert len(list(cpus(program))) == truth.facts.cpus
    assert any(truth.nonce in line.text for line in log(program))
    assert {"/proc", "/sys", "/dev"} <= {str(row.target) for row in mounts(program)}
    assert "lo" in {row.name for row in net_devices(program)}


def test_processes_hold_what_drgn_counts(made: tuple[Specimen, Program]) -> None:
    _, program = made
    page = int(program["PAGE_SIZE"])
    rows = list(processes(program))
    assert len(rows) >= 5
    for row in rows:
        task = find_task(program, row.pid)
        rss = task_rss(program, task)
        assert (row.file, row.anon) == (rss.file * page, rss.anon * page)
        assert (row.shmem, row.swap) == (rss.shmem * page, rss.swap * page)
        assert row.rss == rss.total * page
        assert row.virtual == task_vsize(task)
        assert 0 < row.rss < 1 << 23


def test_memory_adds_up(made: tuple[Specimen, Program]) -> None:
    _, program = made
    use = memory_use(program)
    assert isinstance(use.total, int)
    # Free pages on the CPUs' own lists are in no counter.
    assert use.unaccounted < use.total / 10
    assert sum(size for _, size in use.parts()) <= use.total
    held = [cache.bytes for cache in slab_caches(program) if isinstance(cache.bytes, int)]
    slab = [
        size for size in (use.slab_reclaimable, use.slab_unreclaimable) if isinstance(size, int)
    ]
    # kmem_cache_node's own counters against the VM's, which have large kmalloc() in them too.
    assert 0.8 * sum(slab) < sum(held) <= sum(slab)
    free = [zone.free for zone in zones(program) if isinstance(zone.free, int)]
    assert isinstance(use.free, int)
    assert abs(sum(free) * int(program["PAGE_SIZE"]) - use.free) < use.total / 50
    assert all(isinstance(one.rss, int) and one.rss > 0 for one in processes(program))


def test_every_table_can_be_read_to_its_end(made: tuple[Specimen, Program]) -> None:
    _, program = made
    for table in tables():
        for row in table(program):
            for column in table.columns:
                value = getattr(row, column.name)
                if isinstance(value, Unreadable):
                    pytest.fail(f"{table.name}.{column.name}: {value}")
                if value is None:
                    assert column.can_be_none
                else:
                    assert isinstance(value, column.type), f"{table.name}.{column.name}"


def test_debuginfo_changes_no_row(lab_vmcore: LabVmcore) -> None:
    found = lab_vmcore("6.1")
    plain = open_program(found.vmcore, debuginfo=False).program
    full = open_program(found.vmcore, vmlinux=found.vmlinux()).program
    for table in tables():
        if table.name == "backtraces":
            continue  # those have inline frames and lines
        assert list(table(plain)) == list(table(full)), table.name
