"""The shell's parent: what it says of its child, and what it leaves to it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import os, resource, signal, sys, termios, time
from kautopsy.cli.main import guarded
from kautopsy.shell.supervise import supervise
def work():
    {work}
    return 0
sys.exit(guarded(lambda: supervise(work, thing="vmcore", memory_bytes=1 << 30)))
"""


SLEEP = "print(os.getpid(), flush=True); time.sleep(60)"


def run(work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(work=work)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_the_child_says_and_returns_is_the_answer() -> None:
    done = run("print('said'); return 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "said\n", "")


@pytest.mark.parametrize("name", ["SIGBUS", "SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_child_that_dies_is_told_in_one_line(name: str) -> None:
    done = run(f"print('so far', flush=True); os.kill(os.getpid(), signal.{name})")
    assert done.returncode == 3
    assert done.stdout == "so far\n"
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"kautopsy: analysis-died: vmcore: the process that read it died of {name}"
    )


def test_a_bug_does_not_run_the_callers_code_twice() -> None:
    done = run("print('once'); raise ValueError('x')")
    assert done.stdout.count("once") <= 1
    assert done.returncode == 70


def test_the_child_is_limited() -> None:
    done = run(
        "print(*(resource.getrlimit(one) for one in (resource.RLIMIT_DATA, resource.RLIMIT_CORE)))"
    )
    assert done.stdout.split("\n")[0] == f"({1 << 30}, {1 << 30}) (0, 0)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_to_end_the_parent_ends_the_child(number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=SLEEP)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    inner = int(child.stdout.readline())
    child.send_signal(number)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 128 + number
    assert said == ""
    with pytest.raises(ProcessLookupError):
        os.kill(inner, 0)


def test_a_parent_that_is_killed_takes_the_child_along() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=SLEEP)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    # Ends when nobody holds the pipe any more.
    assert child.stdout.read() == ""
    child.wait(20)
    child.stdout.close()


def test_the_terminal_is_given_back_as_it_was() -> None:
    """A child that dies in the line editor leaves no echo."""
    master, slave = pty.openpty()
    work = (
        "s = termios.tcgetattr(0); s[3] &= ~(termios.ECHO | termios.ICANON); "
        "termios.tcsetattr(0, termios.TCSANOW, s); os.kill(os.getpid(), signal.SIGSEGV)"
    )
    before = termios.tcgetattr(slave)
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=work)], stdin=slave, stderr=subprocess.DEVNULL
    )
    assert child.wait(60) == 3
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_ctrl_c_is_the_childs() -> None:
    work = (
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    print('ready', flush=True)\n"
        "    try: time.sleep(60)\n"
        "    except KeyboardInterrupt: print('interrupted', flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=work)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    assert child.communicate(timeout=20)[0] == "interrupted\n"
    assert child.returncode == 0
