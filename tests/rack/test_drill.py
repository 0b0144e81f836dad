"""The drill on a machine: its stages, what it leaves when it fails, what doctor makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.rack.conftest import write_inventory
from tests.rack.machine import NODE, Machine
from tests.rack.wired import Wired, wired

from kautopsy.arming.facts import gather
from kautopsy.cli.main import main
from kautopsy.host.ssh import SshHost

pytestmark = pytest.mark.slow

FAST = ["--patience", "0.3", "--even-if-not-ready"]


def _inventory(machine: Machine, bmc: Wired) -> None:
    write_inventory(
        machine,
        f'nodename = "{NODE}"\nserial = "7G70H73"\n[hosts.db.bmc]\naddress = "127.0.0.1"\n'
        f'port = {bmc.port}\nuser = "ops"\npassword = {{ env = "BMC_PASSWORD" }}\n',
    )


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "s3cret of ops")


def _statuses(record: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in record["stages"]}


def test_the_whole_walk_and_what_it_leaves(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the analysis: the dump is too small for one. The guest tier has a real one."""
    with wired(machine) as bmc:
        _inventory(machine, bmc)
        argv = ["drill", "db", "--via", "ipmi", "--crash", NODE, "--json", *FAST]
        assert main(argv) == 1
        record = json.loads(capsys.readouterr().out)
    statuses = _statuses(record)
    assert statuses.pop("analysed") == "failed"
    assert set(statuses.values()) == {"passed"}, record["stages"]
    assert (record["host"], record["nodename"], record["via"]) == ("db", NODE, "ipmi")
    dump = Path(record["dump"])
    (source,) = machine.crash_folder.glob("*/dump.*")
    assert dump.read_bytes() == source.read_bytes()
    assert record["nonce"] in (dump.parent / source.name.replace("dump", "dmesg")).read_text()
    assert record["nonce"] in Path(record["console_log"]).read_text()
    verified = next(s["detail"] for s in record["stages"] if s["name"] == "verified")
    assert {"header", "release", "log", "new", "boot-id", "nonce"} <= set(verified.split(", "))
    # Its doctor knows, whoever asks from wherever.
    with SshHost("root@127.0.0.1", options=machine.options) as host:
        last = gather(host).last_drill
    assert last is not None and not last.passed
    assert abs(last.when - time.time()) < 600 and last.release == os.uname().release


def test_no_capture_kernel(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.saves = False
    with wired(machine) as bmc:
        _inventory(machine, bmc)
        assert main(["drill", "db", "--via", "ipmi", "--crash", NODE, "--json", *FAST]) == 1
        said = capsys.readouterr()
    record = json.loads(said.out)
    statuses = _statuses(record)
    assert statuses["panicked"] == "passed" and statuses["capture kernel up"] == "failed"
    assert statuses["saved"] == "skipped" and statuses["recorded"] == "passed"
    assert "no capture kernel took over" in said.err
    # The console is the witness: its crash has a name.
    assert "its console tells of the crash: kernel panic: NMI: Not continuing" in said.err
    assert record["state"] == "dead: its dump was not saved"


def test_refusals_keep_their_exit_codes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drill", "db", "--crash", NODE]) == 5
    assert "doctor says that it would leave no dump" in capsys.readouterr().err
    assert main(["drill", "db", "--crash", "other", *FAST]) == 5
    assert main(["drill", "db", "--crash", "*", *FAST]) == 5
    assert main(["drill", "db", "--even-if-not-ready"]) == 0
    assert f"nothing was done; to do it: --crash {NODE}" in capsys.readouterr().err
    machine.know("other")
    assert main(["drill", "db", "--crash", NODE, *FAST]) == 4
    assert machine.deaths == 0


def test_ctrl_c_says_in_which_state_the_machine_is(machine: Machine) -> None:
    machine.saving_seconds = 60
    with wired(machine) as bmc:
        _inventory(machine, bmc)
        argv = [sys.executable, "-m", "kautopsy", "drill", "db", "--via", "ipmi", "--crash", NODE]
        child = subprocess.Popen(
            [*argv, *FAST], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert child.stderr is not None
        said = ""
        while "capture kernel booted" not in said:
            line = child.stderr.readline()
            assert line, said
            said += line
        child.send_signal(signal.SIGINT)
        said += child.stderr.read()
        assert child.wait(60) == 130
        child.stderr.close()
    assert "interrupted: db is capturing: its capture kernel" in said
    assert "Traceback" not in said
    (path,) = (machine.root / "state/kautopsy/drills").glob("*/record.json")
    assert json.loads(path.read_text())["state"].startswith("capturing")
    # The console's session was ended in order: the next one need not force its way in.
    machine.saving_seconds = 0.5
