"""The report as text: what stands in it, where, and that nothing hostile does."""

import importlib.util
import io
from pathlib import Path

import msgspec

from kautopsy.model.crash import Frame, TaskRef
from kautopsy.model.report import Report
from kautopsy.report.terminal import ReportPrinter, print_report


def _full_report() -> Report:
    path = Path(__file__).parents[1] / "model" / "test_schema.py"
    spec = importlib.util.spec_from_file_location("schema_tests", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report: Report = module.full_report()
    return report


def _text(report: Report) -> str:
    out = io.StringIO()
    print_report(report, out)
    return out.getvalue()


def test_header_has_the_rows_of_crash() -> None:
    text = _text(_full_report())
    labels = [line.split(":")[0].strip() for line in text.splitlines() if ": " in line[:16]]
    assert labels[:16] == [
        "KERNEL", "DUMPFILE", "CPUS", "DATE", "UPTIME", "LOAD AVERAGE", "TASKS", "NODENAME",
        "RELEASE", "VERSION", "MACHINE", "MEMORY", "TAINTED", "PANIC", "PID", "COMMAND",
    ]  # fmt: skip
    assert "(unreadable: page excluded by makedumpfile)" in text


def test_verdict_is_last_and_says_how_sure_it_is() -> None:
    tail = _text(_full_report()).split("VERDICT\n")[1]
    assert tail.startswith("operator-sysrq t  (confidence 90%)\nculprit: f [m] at a.c:3\n")
    assert "w: v   (bt)" in tail


def test_inline_frames_share_the_number_of_the_frame_they_are_in() -> None:
    report = _full_report()
    assert report.crash is not None
    frames = (
        Frame(function="inner", file="a.c", line=7, address=0x10, inline=True),
        Frame(function="outer", offset=4, size=8, address=0x10),
        Frame(function="caller", offset=1, address=0x20, reliable=False, module="mod"),
    )
    report = msgspec.structs.replace(
        report, crash=msgspec.structs.replace(report.crash, frames=frames)
    )
    lines = _text(report).split("BACKTRACE\n")[1].splitlines()[:3]
    assert lines[0].split() == ["inner", "(inlined)", "at", "a.c:7"]
    assert lines[1].split() == ["#0", "[0000000000000010]", "outer+0x4/0x8"]
    assert lines[2].split() == ["#1", "[0000000000000020]", "?", "caller+0x1", "[mod]"]


def test_hostile_names_are_spelt_out() -> None:
    report = _full_report()
    assert report.crash is not None
    crash = msgspec.structs.replace(
        report.crash, task=TaskRef(pid=1, comm="\x1b[2J[bold]x[/bold]\n")
    )
    text = _text(msgspec.structs.replace(report, crash=crash, log=("\x1b]0;x\x07",)))
    assert "\x1b" not in text and "\x07" not in text
    assert r'"\x1b[2J[bold]x[/bold]\n"' in text
    assert r"\x1b]0;x\x07" in text


def test_header_is_printed_once_while_a_report_grows() -> None:
    report = _full_report()
    out = io.StringIO()
    printer = ReportPrinter(out)
    printer.show(msgspec.structs.replace(report, crash=None, findings=(), verdict=None))
    assert "NODENAME" in out.getvalue() and "VERDICT" not in out.getvalue()
    printer.show(report)
    printer.finish(report)
    assert out.getvalue().count("NODENAME") == 1
