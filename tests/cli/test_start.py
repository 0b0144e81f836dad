"""What a start loads and which processes it makes: both are what it costs, on any machine."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kautopsy.lab.specimen import Specimen

# Says in a file what each process loads, and which processes are made.
_WATCHED = """
    import json, os, sys
    me, log = os.getpid(), sys.argv.pop(1)
    loaded = set()
    processes = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system",
                 "subprocess.Popen"}
    def watch(event, arguments):
        new = sys.modules.keys() - loaded
        loaded.update(new)
        what = [["module", name] for name in new]
        if event in processes:
            what.append(["process", event])
        if what:
            who = "parent" if os.getpid() == me else "child"
            # A file for a moment: the child closes what is open.
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, "".join(json.dumps([who, *one]) + "\\n" for one in what).encode())
            os.close(file)
    sys.addaudithook(watch)
    from kautopsy.cli.main import main
    sys.exit(main(sys.argv[1:]))
"""
_NEVER = {
    "asyncio", "multiprocessing", "concurrent", "ssl", "http", "sqlite3", "xml", "argcomplete",
    "capstone", "networkx", "numpy", "scipy", "pandas", "duckdb", "sqlalchemy", "distributed",
    "starlette", "jinja2", "pyghmi", "elftools", "kautopsy.fleet", "kautopsy.host", "kautopsy.lab",
    "kautopsy.arming", "kautopsy.capture", "kautopsy.trigger", "kautopsy.drill", "kautopsy.web",
}  # fmt: skip
"""Whatever a dump holds, no report on it takes these."""


@dataclass(frozen=True)
class Start:
    """What one start of the program did: modules loaded, processes made."""

    code: int
    parent: frozenset[str]
    child: frozenset[str]
    processes: tuple[tuple[str, str], ...]


def start(tmp_path: Path, *arguments: str, stdin: str = "") -> Start:
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_WATCHED), str(log), *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=600,
        check=False,
    )
    modules: dict[str, set[str]] = {"parent": set(), "child": set()}
    processes = []
    for who, kind, what in map(json.loads, log.read_text().splitlines()):
        if kind == "module":
            modules[who].add(what)
        else:
            processes.append((who, what))
    return Start(
        done.returncode,
        frozenset(modules["parent"]),
        frozenset(modules["child"]),
        tuple(processes),
    )


def within(modules: frozenset[str], packages: set[str]) -> set[str]:
    """Those of ``modules`` that are or lie in one of ``packages``."""
    return {name for name in modules if packages & {name, *_parents(name)}}


def _parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def check_report(done: Start) -> None:
    assert done.processes == (("parent", "os.fork"),)
    # The parent opens nothing that a dead kernel wrote, and needs none of what does.
    opens = {"drgn", "_drgn", "kautopsy.kernel", "kautopsy.symbols", "kautopsy.oops"}
    assert not within(done.parent, {*_NEVER, *opens, "subprocess", "kautopsy.triage.autopsy"})
    # The child prints nothing, and begins with what its parent had loaded.
    assert not within(done.child, {*_NEVER, "rich", "argparse", "msgspec", "kautopsy.report"})
    assert {"drgn", "kautopsy.triage.autopsy"} <= done.child


def test_a_report_makes_one_process_that_starts_with_what_its_parent_has(tmp_path: Path) -> None:
    """Of a file that turns out to be no dump; what opens it is loaded by then."""
    (tmp_path / "vmcore").write_bytes(b"\x7fELF" + bytes(5000))
    done = start(tmp_path, "report", str(tmp_path / "vmcore"), "--debuginfo", "never")
    assert done.code == 3
    check_report(done)


def test_sql_leaves_what_reads_a_dump_to_its_child(tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(b"\x7fELF" + bytes(5000))
    done = start(tmp_path, "sql", str(tmp_path / "vmcore"), "select count(*) from tasks")
    assert done.code == 3
    # One process prints, one has DuckDB and may die of the query, one reads the dump.
    assert done.processes == (("parent", "os.fork"), ("child", "subprocess.Popen"))
    assert "duckdb" in done.child
    assert "duckdb" not in done.parent
    dumps = {"drgn", "_drgn", "kautopsy.kernel", "kautopsy.symbols"}
    assert not within(done.parent | done.child, dumps)


def test_a_report_on_a_log_makes_no_process(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("[    1.0] Kernel panic - not syncing: because\n")
    done = start(tmp_path, "report", str(tmp_path / "log.txt"))
    assert done.code == 0
    assert done.processes == ()
    assert not within(done.parent, {*_NEVER, "drgn", "_drgn", "kautopsy.kernel"})


@pytest.mark.guest
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_whole_report_loads_no_more(
    tmp_path: Path, lab_vmcore: Callable[[str], Specimen], form: tuple[str, ...]
) -> None:
    dump = lab_vmcore("6.1").vmcore
    done = start(tmp_path, "report", str(dump), "--debuginfo", "never", *form)
    assert done.code == 0
    check_report(done)
    assert bool(within(done.parent, {"rich"})) == (not form)  # only who prints on a terminal


@pytest.mark.guest
def test_a_shell_loads_the_commands_that_are_given(
    tmp_path: Path, lab_vmcore: Callable[[str], Specimen]
) -> None:
    dump = str(lab_vmcore("6.1").vmcore)
    done = start(tmp_path, "shell", dump, "--debuginfo", "never", "-c", "sys", "-c", "set")
    assert done.code == 0
    assert done.processes == (("parent", "os.fork"),)
    assert not within(done.parent, {*_NEVER, "drgn", "_drgn", "kautopsy.kernel", "subprocess"})
    triage = {"kautopsy.triage", "kautopsy.oops", "kautopsy.fingerprint", "ahocorasick_rs"}
    assert not within(done.child, {*_NEVER, *triage, "rich", "argparse"})
    commands = within(done.child, {"kautopsy.shell.commands"}) - {"kautopsy.shell.commands"}
    assert commands == {"kautopsy.shell.commands.sys", "kautopsy.shell.commands.set"}
