"""A real arm64 dump: everything that needs no x86 works, by BTF, kallsyms and frame pointers.

Against DWARF, over all tasks of such a dump: the same PCs but for the two CPUs' own stacks, where a
leaf function (cpu_do_idle) has no frame record and its caller is passed over.
"""

import shutil
from pathlib import Path

import pytest
from drgn.helpers.linux.pid import for_each_task

from kautopsy.dump.header import read_dump
from kautopsy.lab.arm64 import QEMU, Arm64Specimen, arm64_specimen
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.report import SymbolSource
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.isolation import analyse

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(shutil.which(QEMU) is None, reason="Debian: qemu-system-arm"),
]


@pytest.fixture(scope="module")
def dump() -> Arm64Specimen:
    return arm64_specimen()


def test_tasks_and_their_stacks(dump: Arm64Specimen) -> None:
    opened = open_program(dump.vmcore, debuginfo=False)
    assert opened.dump.arch == "aarch64"
    assert opened.symbols.source is SymbolSource.BTF
    tasks = {task.comm.string_().decode(): task for task in for_each_task(opened.program)}
    assert {"init", "cat", "sleep", "kthreadd"} <= set(tasks)
    stack = [frame.name for frame in opened.program.stack_trace(tasks["kthreadd"])]
    assert stack == ["__switch_to", "__schedule", "schedule", "kthreadd", "ret_from_fork"]


def test_the_report(dump: Arm64Specimen) -> None:
    *_, report = analyse(dump.vmcore, debuginfo=False)
    assert report.system is not None and report.crash is not None and report.verdict is not None
    assert (report.system.machine, report.system.release) == ("aarch64", dump.release)
    assert report.system.cpus == 2
    assert not isinstance(report.log, Unreadable)
    assert any(line.endswith(dump.nonce) for line in report.log)
    assert (report.crash.kind, report.crash.trigger) == (Kind.OPERATOR_SYSRQ, Trigger.SYSRQ)
    assert report.crash.task is not None and report.crash.task.comm == "init"
    names = [frame.function for frame in report.crash.frames]
    at = names.index("sysrq_handle_crash")
    assert names[at : at + 3] == ["sysrq_handle_crash", "__handle_sysrq", "write_sysrq_trigger"]
    assert report.verdict.kind is Kind.OPERATOR_SYSRQ


def test_where_the_hypervisor_knows_nothing_of_the_kernel(
    dump: Arm64Specimen, tmp_path: Path
) -> None:
    """QEMU without a vmcoreinfo device: ELF headers that say nothing of where the kernel is."""
    copy = tmp_path / "vmcore"
    shutil.copy(dump.vmcore, copy)
    with copy.open("r+b") as file:
        at = file.read(1 << 20).index(b"VMCOREINFO\0")
        file.seek(at)
        file.write(b"ANOTHER   \0")
    assert read_dump(copy).build_id is None
    opened = open_program(copy, debuginfo=False)
    assert opened.dump.build_id == read_dump(dump.vmcore).build_id is not None
    assert opened.symbols.source is SymbolSource.BTF
    assert "init" in {task.comm.string_().decode() for task in for_each_task(opened.program)}
