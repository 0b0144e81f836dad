"""The report as text: what stands in it, where, and that nothing hostile does."""

import importlib.util
import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kautopsy.model.crash import Frame, TaskRef
from kautopsy.model.report import Report
from kautopsy.report.terminal import ReportPrinter, print_report

from .hostile import ATTACKS, planted
from .samples import bare, crowd, deadlock, from_log


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
    assert tail.startswith("operator-sysrq  (confidence 90%)\nt\nculprit: f [m] at a.c:3\n")
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
    assert "NODENAME" in out.getvalue() and "BACKTRACE" not in out.getvalue()
    printer.show(msgspec.structs.replace(report, findings=(), verdict=None))
    assert "BACKTRACE" in out.getvalue() and "VERDICT" not in out.getvalue()
    printer.show(report)
    printer.finish(report)
    for once in ("NODENAME", "COMMAND", "BACKTRACE", "LAST LINES", "VERDICT"):
        assert out.getvalue().count(once) == 1


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
@pytest.mark.parametrize("sample", [deadlock, from_log, bare])
def test_nothing_of_a_report_is_obeyed_by_a_terminal(
    sample: Callable[[], Report], attack: str
) -> None:
    text = _text(planted(sample(), attack))
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert len(text) < 500_000


@pytest.mark.parametrize("width", [80, 140])
def test_prose_fits_the_terminal(width: int) -> None:
    out = io.StringIO()
    ReportPrinter(out, width=width).finish(deadlock())
    text = out.getvalue()
    prose = text.split("VERDICT\n")[1].split("\n", 3)[3].split("next:")[0]
    assert max(len(line) for line in prose.splitlines()) <= width
    # Addresses only where there is room for them.
    assert ("[ffffffff8107a1a4] machine_kexec" in text) is (width > 100)


def test_waits_of_a_crowd_are_one_sentence() -> None:
    text = " ".join(_text(deadlock()).split("WHO WAITS FOR WHOM")[1].split())
    assert text.startswith(
        "ledger-post (pid 412) waits for mutex index_lock (0xffffffffc04120c0), "
        "held by ledger-audit (pid 413), in ledger_post, for 5 min 8 s"
    )
    assert (
        "9 × nginx (pids 501, 502, 503, ...) wait for mutex book_lock (0xffffffffc0412080), "
        "held by ledger-post (pid 412), in ledger_read, for up to 5 min"
    ) in text


def test_log_shows_what_led_to_the_crash_and_how_it_was_announced() -> None:
    log = deadlock().log
    assert isinstance(log, tuple)
    tail = tuple(f"[  432.{i:06d}] R{i:02d}: 0000" for i in range(200))
    text = _text(msgspec.structs.replace(deadlock(), log=(*log, *tail)))
    shown = text.split("LAST LINES OF THE KERNEL LOG\n")[1].split("\n\n")[0].splitlines()
    assert len(shown) <= 20 + 5 + 1
    assert "nvme nvme0: I/O 117 QID 2 timeout, aborting" in shown[0]
    assert any("Kernel panic - not syncing: sysrq triggered crash" in line for line in shown)
    assert "R01: 0000" in shown[-1]  # the tenth line from the crash on


def test_cpus_that_merely_idle_are_counted() -> None:
    lines = _text(crowd()).split("\nCPUS\n")[1].split("\n\n")[0].splitlines()
    assert lines[0].split()[0] == "65" and "crashed" in lines[0]
    assert lines[-1].strip() == "17 more busy, 159 idle"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True), ({}, False)],
)
def test_colour_only_where_it_is_wanted(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    colours = re.findall(r"\x1b\[[0-9;]*3[0-7][0-9;]*m", _text(deadlock()))
    assert bool(colours) is coloured


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("make", [deadlock, bare, crowd, from_log, _full_report])
def test_no_line_is_wider_than_the_terminal(make: Callable[[], Report], width: int) -> None:
    said = "CPU: 0 PID: 25 Comm: khungtaskd Kdump: loaded Tainted: G        OE      5.10.0-32 #1"
    log = (f"[   21.439226] {said}", "[   21.439408] " + "x" * 300)
    out = io.StringIO()
    printer = ReportPrinter(out, width=width)
    report = msgspec.structs.replace(make(), log=log)
    printer.show(report)
    printer.finish(report)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    # What is folded stands under the message, not under the time; nothing is lost.
    [at] = [i for i, line in enumerate(lines) if line.startswith("[   21.439226] CPU")]
    if width < 100:
        assert lines[at + 1].startswith(" " * min(15, width // 3))
    assert out.getvalue().count("x") >= 300
    assert "".join(out.getvalue().split()).count("".join(said.split())) == 1


def test_a_pipe_gets_lines_whole() -> None:
    line = "[   21.439226] " + "word " * 60 + "end"
    text = _text(msgspec.structs.replace(bare(), log=(line,)))
    assert line in text
