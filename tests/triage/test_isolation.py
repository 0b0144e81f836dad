"""What the parent makes of a child that dies, hangs, eats memory or fails."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from kautopsy.model.errors import ExitCode, KautopsyError, UnreadableError
from kautopsy.model.report import Report
from kautopsy.triage.isolation import Limits, analyse

FIRST = 'Report(dump=None, symbols=Symbols(source="none"), system=None, crash=None)'
WHOLE = 'Report(dump=None, symbols=Symbols(source="none"), system=None, crash=None, log=("line",))'


def run_child(
    tmp_path: Path, steps: str, limits: Limits | None = None
) -> Generator[Report, None, None]:
    """Analyse with a child whose analysis is the generator body ``steps``."""
    script = tmp_path / "child.py"
    script.write_text(
        "import os, signal, socket, sys, time\n"
        "from kautopsy.model.errors import UnreadableError\n"
        "from kautopsy.model.report import Report, Symbols\n"
        "import kautopsy.triage.autopsy as autopsy\n"
        "from kautopsy.triage.child import main\n"
        "def steps(path, *, vmlinux, debuginfo):\n"
        + textwrap.indent(textwrap.dedent(steps), "    ")
        + "\nautopsy.autopsy_steps = steps\nsys.exit(main())\n"
    )
    return analyse(Path("vmcore"), limits=limits, command=(sys.executable, str(script)))


def test_reports_stream(tmp_path: Path) -> None:
    first, whole = run_child(tmp_path, f"yield {FIRST}\nyield {WHOLE}")
    assert (first.log, whole.log) == ((), ("line",))


def test_what_the_analysis_prints_does_not_break_the_stream(tmp_path: Path) -> None:
    (report,) = run_child(tmp_path, f"print('hello')\nos.write(1, b'noise')\nyield {FIRST}")
    assert report.symbols.notes == ()


def test_named_error_of_the_analysis_is_raised_again(tmp_path: Path) -> None:
    steps = 'raise UnreadableError("w", thing="t", hint="h", slug="s")\nyield'
    with pytest.raises(UnreadableError) as raised:
        list(run_child(tmp_path, steps))
    error = raised.value
    assert str(error) == "s: t: w (h)"
    assert error.exit_code is ExitCode.UNREADABLE


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os._exit(3)", "exited with 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ('raise UnreadableError("gone", thing="vmcore")', "unreadable: vmcore: gone"),
    ],
)
def test_the_last_report_survives_its_child(tmp_path: Path, end: str, said: str) -> None:
    *_, report = run_child(tmp_path, f"yield {WHOLE}\n{end}")
    assert report.log == ("line",)
    assert said in report.symbols.notes[-1]


def test_a_child_that_dies_first_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(KautopsyError, match="killed by SIGKILL") as raised:
        list(run_child(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)\nyield"))
    assert raised.value.exit_code is ExitCode.UNREADABLE


def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    steps = f"yield {FIRST}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    *_, report = run_child(tmp_path, steps, Limits(seconds=3))
    assert "took longer than its 3 s" in report.symbols.notes[-1]


def test_a_child_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    steps = f"yield {FIRST}\nfood = []\nwhile True: food.append(bytearray(1 << 20))"
    *_, report = run_child(tmp_path, steps, Limits(memory_bytes=256 << 20))
    assert "needs more than its 256 MiB" in report.symbols.notes[-1]


def test_the_child_has_no_network(tmp_path: Path) -> None:
    probe = "import ctypes, os; n = 0x40000000 | (os.geteuid() and 0x10000000);"
    probe += "raise SystemExit(ctypes.CDLL(None).unshare(n))"
    if subprocess.run([sys.executable, "-c", probe], check=False).returncode:
        pytest.skip("this machine does not let us make a network namespace")
    steps = f"""
        assert socket.if_nameindex() == [(1, "lo")], socket.if_nameindex()
        yield {FIRST}
    """
    (report,) = run_child(tmp_path, steps)
    assert report.symbols.notes == ()


def test_closing_the_stream_early_kills_the_child(tmp_path: Path) -> None:
    reports = run_child(tmp_path, f"yield {FIRST}\ntime.sleep(1000)")
    next(reports)
    started = time.monotonic()
    reports.close()
    assert time.monotonic() - started < 100
