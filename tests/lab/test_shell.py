"""The host's end of the command channel against init.sh's own loop, run by a real shell."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from kautopsy.lab.console import SerialPort
from kautopsy.lab.shell import GuestShell

SCRIPT = files("kautopsy.lab.inside").joinpath("init.sh").read_text()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[GuestShell]:
    ours, theirs = socket.socketpair()
    loop = SCRIPT[SCRIPT.index("serve() {") : SCRIPT.index("if grep")]
    loop = re.sub(r"exec 3<>/dev/ttyS1\n.*stty.*\n", "exec 3<&0\n", loop)
    assert "ttyS1" not in loop
    program = loop.replace("/run/", f"{tmp_path}/") + "\nserve\n"
    guest = subprocess.Popen(["sh", "-c", program], stdin=theirs.fileno())
    theirs.close()
    news = threading.Condition()
    port = SerialPort(ours, news=news)

    def wait(done: Callable[[], bool], limit: float, what: str) -> None:
        deadline = time.monotonic() + min(limit, 30)
        with news:
            while not done():
                assert time.monotonic() < deadline, what
                news.wait(0.1)

    try:
        wait(lambda: f"ready {os.uname().release}" in port.whole_lines(), 30, "ready")
        yield GuestShell(port, wait)
    finally:
        port.close()
        guest.wait(10)


def test_output_and_status(shell: GuestShell) -> None:
    result = shell.run("echo out; echo err >&2; exit 3", limit=10)
    assert (result.status, result.output) == (3, "out\nerr\n")
    assert shell.run("true", limit=10) == shell.run(":", limit=10)


def test_nothing_is_lost_of_long_commands_and_output(shell: GuestShell) -> None:
    text = "".join(chr(33 + i % 90) for i in range(20_000)).replace("'", "q")
    result = shell.run(f"printf %s '{text}'", limit=30)
    assert result.output == text


def test_output_that_looks_like_the_protocol_is_only_output(shell: GuestShell) -> None:
    result = shell.run("echo 'done 0'; echo 'output Zm9v'; echo ok", limit=10)
    assert result.output == "done 0\noutput Zm9v\nok\n"
