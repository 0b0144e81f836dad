"""Reports on real dumps say what drgn's crash mode says of the same dump with the same vmlinux."""

import contextlib
import io
import re
from collections.abc import Callable

import drgn
import pytest
from drgn.commands import run_command

from kautopsy.lab.specimen import Specimen
from kautopsy.model.crash import Frame
from kautopsy.model.report import Report, SymbolSource
from kautopsy.triage.autopsy import autopsy

pytestmark = pytest.mark.guest

KERNELS = ("5.10", "6.1", "6.12", "7.2")


class Judged:
    """A specimen, our two reports on it, and what drgn's crash mode prints."""

    def __init__(self, specimen: Specimen) -> None:
        self.specimen = specimen
        vmlinux = specimen.vmlinux()
        self.with_dwarf = autopsy(specimen.vmcore, vmlinux=vmlinux)
        self.without = autopsy(specimen.vmcore, debuginfo=False)
        program = drgn.Program()
        program.set_core_dump(specimen.vmcore)
        program.load_debug_info([vmlinux])
        self.sys = self._run(program, "sys")
        self.bt = self._run(program, "bt")

    @staticmethod
    def _run(program: drgn.Program, command: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            run_command(program, f"crash {command}")
        return out.getvalue()

    def row(self, label: str) -> str:
        """A row of ``sys``."""
        (value,) = re.findall(rf"^ *{label}: (.*)$", self.sys, re.M)
        return str(value)

    @property
    def functions(self) -> list[str]:
        """The functions of ``bt`` that are not inline."""
        return re.findall(r"^ *#\d+ \[[0-9a-f]+\] (\S+) at", self.bt, re.M)


@pytest.fixture(scope="module", params=KERNELS)
def judged(request: pytest.FixtureRequest, lab_vmcore: Callable[[str], Specimen]) -> Judged:
    return Judged(lab_vmcore(request.param))


@pytest.fixture(params=["dwarf", "nothing"])
def report(request: pytest.FixtureRequest, judged: Judged) -> Report:
    return judged.with_dwarf if request.param == "dwarf" else judged.without


def real(report: Report) -> list[Frame]:
    assert report.crash is not None
    return [frame for frame in report.crash.frames if not frame.inline]


def test_symbols_are_what_was_asked_for(judged: Judged) -> None:
    assert judged.with_dwarf.symbols.source is SymbolSource.DWARF
    assert judged.without.symbols.source is SymbolSource.BTF


def test_header(judged: Judged, report: Report) -> None:
    system = report.system
    assert system is not None
    assert system.release == judged.row("RELEASE")
    assert system.nodename == judged.row("NODENAME")
    assert system.version == judged.row("VERSION")
    assert str(system.machine) == judged.row("MACHINE").split()[0]
    assert str(system.cpus) == judged.row("CPUS").split()[0]
    assert str(system.tasks) == judged.row("TASKS")
    assert isinstance(system.load_average, tuple)
    assert ", ".join(f"{x:.2f}" for x in system.load_average) == judged.row("LOAD AVERAGE")
    assert f'"Kernel panic - not syncing: {system.panic}"' == judged.row("PANIC")


def test_panicking_task_and_cpu(judged: Judged, report: Report) -> None:
    match = re.search(r'PID: (\d+) +TASK: \S+ +CPU: (\d+) +COMMAND: "(.*)"', judged.bt)
    assert match is not None
    crash = report.crash
    assert crash is not None and crash.task is not None
    assert (str(crash.task.pid), str(crash.cpu), crash.task.comm) == match.groups()
    # And what the guest itself said before it died.
    assert (crash.task, crash.cpu) == (judged.specimen.writer, judged.specimen.cpu)


def test_every_function_of_the_backtrace_with_dwarf(judged: Judged) -> None:
    assert [frame.function for frame in real(judged.with_dwarf)] == judged.functions
    assert len(judged.functions) > 5


def test_every_address_of_the_backtrace_without_dwarf(judged: Judged) -> None:
    assert [frame.address for frame in real(judged.without)] == [
        frame.address for frame in real(judged.with_dwarf)
    ]


def test_lines_are_there_with_dwarf(judged: Judged) -> None:
    assert all(frame.file and frame.line for frame in real(judged.with_dwarf))


def test_the_crash_is_the_same_with_and_without_dwarf(judged: Judged) -> None:
    ours, bare = judged.with_dwarf, judged.without
    assert ours.crash is not None and bare.crash is not None
    assert ours.crash.fingerprint == bare.crash.fingerprint
    assert ours.crash.title == bare.crash.title
    assert ours.system == bare.system
    assert ours.log == bare.log


def test_nothing_was_wrong_and_somebody_asked_for_it(judged: Judged, report: Report) -> None:
    verdict = report.verdict
    assert verdict is not None and verdict.finding is not None
    assert verdict.kind == "operator-sysrq"
    assert report.crash is not None and report.crash.trigger == "sysrq"
    writer = judged.specimen.writer
    finding = report.findings[verdict.finding]
    assert (writer.pid, writer.comm) in [(task.pid, task.comm) for task in finding.tasks]
