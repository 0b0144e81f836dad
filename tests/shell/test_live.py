"""The running kernel: a guest carries this Python and looks at itself."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pytest
from tests.shell import carried

from kautopsy.kernel.table import tables
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.guest import Guest, State
from kautopsy.lab.kernels import fetch_kernel

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1800)]
_SECONDS = 300


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    config = GuestConfig(
        kernel=fetch_kernel("6.12"),
        files=carried.files(),
        memory_mib=2048,
        crashkernel="",
        capture_image=False,
        hostname="alive",
    )
    with Guest(config) as guest:
        guest.transition(State.BOOTED)
        guest.run("sleep 4711 &")
        yield guest


def kautopsy(guest: Guest, *words: str, user: int = 0) -> tuple[int, str]:
    start = (
        f"import os, sys; os.setgid({user}); os.setuid({user}); sys.argv[0] = 'kautopsy'; "
        "from kautopsy.cli.main import main; sys.exit(main())"
    )
    command = ["env", f"PYTHONPATH={carried.search_path()}", carried.python(), "-c", start, *words]
    result = guest.run(f"{shlex.join(command)} 2>&1", limit=_SECONDS, check=False)
    return result.status, result.output


def test_the_shell_looks_at_the_machine_it_runs_on(guest: Guest) -> None:
    facts = guest.run("uname -r; cut -d' ' -f1 /proc/uptime; pidof sleep; grep -c . /proc/modules")
    release, uptime, sleeper, modules = facts.output.split()[:4]
    status, said = kautopsy(
        guest, "shell", "local", "-c", "sys", "-c", f"ps {sleeper}", "-c", "mod",
        "-c", f"bt {sleeper}", "-c", "p jiffies", "-c", "p jiffies", "-c", "set",
    )  # fmt: skip
    assert status == 0, said
    assert "RUNNING KERNEL" in said
    assert f"RELEASE: {release}" in said
    [hours, minutes, seconds] = re.search(r"UPTIME: (\d+):(\d+):(\d+)", said).groups()  # type: ignore[union-attr]
    shown = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    assert float(uptime) - 1 <= shown <= float(uptime) + _SECONDS
    assert re.search(rf"^\s+{sleeper}\s+\d+\s+\d+\s+[0-9a-f]{{16}}\s+IN .* sleep$", said, re.M)
    assert len(re.findall(r"^ffffffffc\w+ +\w+ ", said, re.M)) == int(modules)
    assert "hrtimer_nanosleep" in said  # of sleep's backtrace, without debuginfo
    first, second = map(int, re.findall(r"= (\d{10})$", said, re.M))
    assert second >= first  # it goes on
    assert 'COMMAND: "python' in said  # the task is this very process


def test_tables_of_the_running_kernel(guest: Guest) -> None:
    script = "print(sum(1 for row in tables.tasks() if row.comm == 'sleep'))"
    status, said = kautopsy(guest, "shell", "local", "-c", f"py {script}")
    assert status == 0, said
    assert said.splitlines()[-1] == "1"


def test_it_is_roots(guest: Guest) -> None:
    # Who built the archive could read the files; this user shall, too.
    guest.run("for at in /*; do test $at = /proc -o $at = /sys || chmod -R a+rX $at; done; true")
    status, said = kautopsy(guest, "shell", "local", "-c", "sys", user=1000)
    assert status == 5
    [line] = [one for one in said.splitlines() if "kautopsy: " in one]
    assert "not-root" in line


def test_a_dump_that_fails_is_not_replaced_by_it(guest: Guest) -> None:
    guest.run("head -c 4096 /dev/zero > /tmp/vmcore")
    for target in ("/tmp/vmcore", "/nosuch", "/tmp"):
        status, said = kautopsy(guest, "shell", target, "-c", "sys")
        assert status == 3, said
        assert "LIVE" not in said and "RUNNING" not in said and "RELEASE" not in said


def test_every_table_of_the_running_kernel_can_be_kept(guest: Guest) -> None:
    # What `snapshot local` and `sql local` ask of their child; DuckDB is not carried here.
    names = sorted(table.name for table in tables())
    asked = [{"dump": "local", "vmlinux": None, "debuginfo": True, "memory_bytes": 1 << 32,
              "live": True}, {"tables": names, "columns": None, "header": True}]  # fmt: skip
    lines = "".join(json.dumps(one) + "\n" for one in asked)
    child = [f"PYTHONPATH={carried.search_path()}", carried.python(), "-m",
             "kautopsy.shell.sql_child"]  # fmt: skip
    result = guest.run(
        f"printf %s {shlex.quote(lines)} | env {shlex.join(child)} > /tmp/answers;"
        ' grep -o \'"failure":{[^}]*}\\|"final":true\' /tmp/answers;'
        ' grep -o \'"table":"[a-z_]*"\' /tmp/answers | sort -u | cut -d\'"\' -f4',
        limit=_SECONDS,
        check=False,
    )
    assert "failure" not in result.output, result.output
    assert "final" in result.output, result.output
    read = set(result.output.split())
    assert {"tasks", "cpus", "modules", "mounts", "open_files", "slab_caches"} <= read
