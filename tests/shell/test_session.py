"""The shell on a real dump, as people use it: lines in, lines out, and what goes wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from drgn.helpers.linux.pid import find_task
from tests.shell.parity.commands import ALL

from kautopsy.lab.specimen import Specimen
from kautopsy.shell.errors import LeaveShell
from kautopsy.shell.opening import open_live, open_session
from kautopsy.shell.prompt import Completer, prompt
from kautopsy.shell.registry import commands
from kautopsy.shell.run import execute
from kautopsy.shell.session import Session

pytestmark = pytest.mark.guest

LabVmcore = Callable[[str], Specimen]
Ask = Callable[[str], str]


@pytest.fixture(scope="module")
def dump(lab_vmcore: LabVmcore) -> Specimen:
    return lab_vmcore("6.12")


@pytest.fixture
def session(dump: Specimen) -> Session:
    return open_session(str(dump.vmcore), debuginfo=False)


@pytest.fixture
def ask(session: Session) -> Ask:
    def one(line: str) -> str:
        out = io.StringIO()
        execute(session, line, out)
        return out.getvalue()

    return one


def test_all_commands_are_there_and_have_help(session: Session, ask: Ask) -> None:
    assert set(ALL) <= set(commands())
    for name in ALL:
        text = ask(f"help {name}")
        assert "NAME" in text
        assert "SYNOPSIS" in text, name


def test_pipes_files_and_aliases(ask: Ask, tmp_path: Path) -> None:
    every = ask("ps -H").splitlines()
    assert len(every) > 20
    assert ask("ps -H | wc -l").split() == [str(len(every))]
    file = tmp_path / "out"
    ask(f"ps -H > {file}")
    assert file.read_text().splitlines() == every
    ask(f"ps -H >> {file}")
    assert len(file.read_text().splitlines()) == 2 * len(every)
    ask("alias idle ps -H 0")
    assert "swapper/0" in ask("idle")
    script = tmp_path / "commands"
    script.write_text("# a comment\np 1 + 1\n\nsym jiffies\n")
    assert "= 2" in ask(f"< {script}")


def test_json_has_the_rows_of_the_table(ask: Ask, dump: Specimen) -> None:
    rows = json.loads(ask("ps --json"))
    text = ask("ps -H").splitlines()
    assert [row["pid"] for row in rows] == [int(line.lstrip(">").split()[0]) for line in text]
    [writer] = [row for row in rows if row["pid"] == dump.writer.pid]
    assert writer["comm"] == dump.writer.comm
    assert writer["active"] == 1


def test_the_current_task_moves(ask: Ask, session: Session, dump: Specimen) -> None:
    assert f"PID: {dump.writer.pid}" in ask("set")
    ask("set 1")
    assert session.context.value_() == find_task(session.program, 1).value_()
    assert "PID: 1 " in ask("bt")
    assert f"PID: {dump.writer.pid}" in ask("set -p")


def test_foreach_leaves_the_current_task_alone(ask: Ask, session: Session) -> None:
    before = session.context.value_()
    text = ask("foreach IN task -R pid,comm")
    assert text.count("PID:") > 10
    assert session.context.value_() == before


def test_a_write_is_an_overlay(ask: Ask, session: Session, dump: Specimen) -> None:
    before = dump.vmcore.read_bytes()
    told = ask("wr -32 jiffies 12345678")
    assert "overlay" in told
    assert "12345678" in ask("rd -32 jiffies")
    assert int(session.program["jiffies"]) & 0xFFFFFFFF == 0x12345678
    assert dump.vmcore.read_bytes() == before
    assert "12345678" in ask("wr")


def test_python_sees_the_program(ask: Ask) -> None:
    assert ask('py print(prog["init_task"].comm.string_())').strip() == "b'swapper/0'"
    assert int(ask("py print(len(list(tables.tasks())))")) > 20
    ask("py x = 41")
    assert ask("py print(x + 1)").strip() == "42"


def test_extensions_come_and_go(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hello.py"
    file.write_text(
        "from kautopsy.shell.registry import command\n"
        '@command("hello", "say hello")\n'
        "def hello(session, arguments):\n"
        '    yield "hello \\x1b[31m"\n'
    )
    assert "loaded" in ask(f"extend {file}")
    assert ask("hello") == "hello \\x1b[31m\n"  # and what it says is escaped
    ask(f"extend -u {file}")
    ask("hello")
    assert "command not found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("bta", "did you mean bt"),
        ("bt 99999999", "invalid task or pid"),
        ("rd 10", "not in the dump"),
        ("struct task_struct 10", "not in the dump"),
        ("struct nosuch", "no struct or union"),
        ("task_struct.nosuch ffff", "invalid member"),
        ("p nosuch + 1", "no symbol"),
        ("p 1 +", "unexpected"),
        ("p 1/0", "zero"),
        ("sym 12", "invalid address"),
        ("list 10", "not in the dump"),
        ("vtop nosuch", "not a symbol or address"),
        ("dis 10", "not in the dump"),
        ("bt -z", "unrecognized arguments"),
        ("ps | nosuchprogram", "no such program"),
        ("log > /nosuch/dir/file", "No such file"),
        ("foreach nosuch bt", "no task"),
        ("search -s 10 1", "no kernel address"),
        ("net -N zz", "IPv4"),
        ("mod -s nosuch", "no such module"),
        ("extend /nosuch.py", "no such file"),
        ('search -c "open', "not closed"),
        ("kmem -s nosuchcache", "no such slab cache"),
        ("gdb run", "there is no gdb"),
        ("repeat", "command is missing"),
        ("pte xyz", "hexadecimal"),
    ],
)
def test_what_goes_wrong_is_one_line(
    session: Session, line: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not execute(session, line, sys.stdout)
    complaint = capsys.readouterr().err
    assert told in complaint
    assert len(complaint.splitlines()) == 1


def test_exit_leaves(session: Session) -> None:
    for line in ("exit", "q"):
        with pytest.raises(LeaveShell):
            execute(session, line, io.StringIO())


def test_a_dead_pipe_ends_the_command_quietly(dump: Specimen) -> None:
    command = [sys.executable, "-m", "kautopsy", "shell", str(dump.vmcore), "--debuginfo", "never"]
    done = subprocess.run(
        [*command, "-c", "sym -l | head -1", "-c", "p 40 + 2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "= 42" in done.stdout


def test_ctrl_c_ends_the_command_and_not_the_shell(session: Session) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(1000):
            execute(session, "search -k 123456789abcdef0", io.StringIO())
    out = io.StringIO()
    assert execute(session, "p 1 + 1", out)
    assert "= 2" in out.getvalue()


def test_names_are_completed(session: Session) -> None:
    completer = Completer(session)
    assert "foreach " in completer.matches("fore", "")
    assert "task_struct" in completer.matches("task_str", "struct ")
    assert "task_struct.comm" in completer.matches("task_struct.com", "struct ")
    assert "vfs_write" in completer.matches("vfs_wri", "dis ")


def test_a_script_runs(dump: Specimen, tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\n"
        "names = {task.comm for task in tables.tasks()}\n"
        "print(sys.argv[1], 'kthreadd' in names, prog['init_task'].pid.value_())\n"
        "sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "kautopsy", "shell", "--debuginfo", "never",
         str(dump.vmcore), str(script), "word"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("word True 0\n", 7), done.stderr


def test_the_running_kernel_is_never_reached_by_accident(tmp_path: Path) -> None:
    for target in (tmp_path / "nosuch", tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "kautopsy", "shell", str(target), "-c", "sys"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


def test_local_says_why_not(tmp_path: Path) -> None:
    from kautopsy.model.errors import KautopsyError

    with pytest.raises(KautopsyError) as caught:
        open_live(kcore=tmp_path / "kcore")
    assert caught.value.slug in ("no-kcore", "not-root")


def test_the_prompt_says_loudly_that_it_is_live(session: Session) -> None:
    assert prompt(session) == "crash> "
    session.live = True
    assert "LIVE KERNEL" in prompt(session)
