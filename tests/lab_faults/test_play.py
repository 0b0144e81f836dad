"""Scenes of each family on all kernels, from the source to the verdict."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from kautopsy.kernel.hardware import hardware_errors
from kautopsy.lab.faults.judge import judge
from kautopsy.lab.faults.play import play
from kautopsy.lab.faults.scenes import StopBy, find_scene
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.model.crash import Kind
from kautopsy.shell.opening import open_session
from kautopsy.shell.run import execute
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.isolation import analyse
from kautopsy.triage.textual import report_on_log

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1500)]


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("5.10", "bad-pointer-vmalloc"),
        ("6.1", "null-read"),
        ("6.1", "spinlock-holder-asleep"),
        ("6.1", "abba-mutex-rwsem"),
        ("6.12", "healthy-nmi"),
        ("6.12", "machine-check"),
        ("7.2", "cycle-three"),
    ],
)
def test_verdict_is_true(kernel: str, name: str, tmp_path: Path) -> None:
    scene = find_scene(name)
    played = play(scene, fetch_kernel(kernel), out=tmp_path)
    console = (tmp_path / "console.log").read_text(errors="replace")
    told = report_on_log(tmp_path / "console.log").crash
    if played.trigger is StopBy.SYSRQ:
        assert "sysrq triggered crash" in console
    *_, report = analyse(Path(played.vmcore), debuginfo=False)
    judgement = judge(report, played)
    assert judgement.right, judgement
    assert not judgement.confidently_wrong
    assert report.crash is not None
    if report.crash.kind in (Kind.OPERATOR_NMI, Kind.MACHINE_CHECK):
        # Printed in NMI context, and the capture kernel starts before a console is flushed: the
        # dump alone has the text.
        assert told is None
    else:
        assert told is not None
        assert told.fingerprint == report.crash.fingerprint
    if name == "null-read":
        _check_backtrace(played.vmcore, console)
    if name == "machine-check":
        program = open_program(Path(played.vmcore), debuginfo=False).program
        (record,) = hardware_errors(program)
        # As `mce` of QEMU's monitor was told: bank, status, address.
        assert (record.bank, record.status, record.address) == (9, 0xBE00000000000134, 0x12345000)
        assert (record.cpu, record.severity) == (1, "fatal")


def _check_backtrace(vmcore: str, console: str) -> None:
    """crash's ``bt``: from machine_kexec() over the exception to what the kernel itself told."""
    told = io.StringIO()
    execute(open_session(vmcore, vmlinux=None, debuginfo=False), "bt", told)
    shown = told.getvalue()
    names = re.findall(r"^ *#\d+ \[\w+\] (\w+) at", shown, re.M)
    place = re.search(r"RIP: 0010:(\w+)\+0x(\w+)/", console)
    stack = re.search(r"RSP: 0018:(\w+)", console)
    assert place is not None and stack is not None
    assert names[:2] == ["machine_kexec", "__crash_kexec"]
    assert names[names.index("asm_exc_page_fault") + 1] == place[1]
    assert f"[exception RIP: {place[1]}+{int(place[2], 16)}]" in shown
    assert f"RSP: {stack[1]}" in shown
