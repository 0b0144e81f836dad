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

pytestmark = pytest.mark.slow

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
    *_, report = run_child(tmp_path, steps, Limits(seconds=15))
    assert "took longer than its 15 s" in report.symbols.notes[-1]


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


def run_forked(tmp_path: Path, steps: str, limits: str = "Limits()") -> list[str]:
    """As :func:`run_child`, with a fork; what the parent, which is thin, has to say of it."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal, socket, sys, time, types\n"
        "from pathlib import Path\n"
        "from kautopsy.model.errors import KautopsyError, UnreadableError\n"
        "from kautopsy.model.report import Report, Symbols\n"
        "from kautopsy.triage.isolation import Limits, analyse\n"
        "def steps(path, *, vmlinux, debuginfo):\n"
        + textwrap.indent(textwrap.dedent(steps), "    ")
        + "\nautopsy = sys.modules['kautopsy.triage.autopsy'] = types.ModuleType('autopsy')\n"
        "autopsy.autopsy_steps = steps\n"
        "me = os.getpid()\n"
        "def refuse(*a, **k): raise SystemExit('not a fork')\n"
        "import subprocess; subprocess.Popen = refuse\n"
        "print('before', end=' ')\n"
        "try:\n"
        f"    for report in analyse(Path('vmcore'), limits={limits}, fork=True):\n"
        "        print('report', *report.log, *report.symbols.notes)\n"
        "except KautopsyError as error:\n"
        "    print('error', int(error.exit_code), error)\n"
        "assert os.getpid() == me\n"
        "try: os.waitpid(-1, 0); print('a child is left')\n"
        "except ChildProcessError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stderr == ""
    assert done.stdout.startswith("before ")  # once: the child does not say it again
    return done.stdout.removeprefix("before ").splitlines()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("os._exit(3)", "exited with 3"),
        ("sys.exit(4)", "SystemExit: 4"),
        ("1 / 0", "exited with 1: ZeroDivisionError: division by zero"),
        ('raise UnreadableError("gone", thing="vmcore")', "unreadable: vmcore: gone"),
        ("food = []\nwhile True: food.append(bytearray(1 << 20))", "needs more than its 256 MiB"),
    ],
)
def test_the_last_report_survives_a_fork(tmp_path: Path, end: str, said: str) -> None:
    limits = "Limits(memory_bytes=256 << 20)"
    first, last = run_forked(tmp_path, f"print('noise')\nyield {WHOLE}\n{end}", limits)
    assert first == "report line"
    assert said in last


def test_a_fork_that_dies_first_is_a_named_error(tmp_path: Path) -> None:
    (line,) = run_forked(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)\nyield")
    assert line.startswith("error 3 analysis-died: vmcore: ") and "SIGKILL" in line


def test_a_fork_that_hangs_is_killed(tmp_path: Path) -> None:
    steps = f"yield {FIRST}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    *_, last = run_forked(tmp_path, steps, "Limits(seconds=2)")
    assert "took longer than its 2 s" in last


def test_a_fork_has_neither_network_nor_terminal_nor_files(tmp_path: Path) -> None:
    steps = f"""
        yield {FIRST}
        assert os.environ["DEBUGINFOD_URLS"] == ""
        assert os.getpgid(0) == os.getpid() != os.getppid()
        assert os.read(0, 1) == b""
        mine = sorted(int(name) for name in os.listdir("/proc/self/fd"))
        assert len(mine) == 5, mine  # the standard ones, the pipe for reports, the folder itself
        import ctypes
        n = 0x40000000 | (os.geteuid() and 0x10000000)
        alone = socket.if_nameindex() == [(1, "lo")]
        assert alone or ctypes.CDLL(None).unshare(n), socket.if_nameindex()
    """
    assert run_forked(tmp_path, steps) == ["report"]


def test_whoever_has_threads_or_drgn_is_not_forked() -> None:
    code = """
        import sys, threading
        from kautopsy.triage.forked import can_fork
        assert can_fork()
        end = threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        assert not can_fork()
        end.set()
        other.join()
        import drgn
        assert not can_fork()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
