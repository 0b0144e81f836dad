"""sysrq over a real ssh: the guard, the dry run, the death, and the dump's way home."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.rack.machine import NODE, Machine

from kautopsy.cli.main import main
from kautopsy.trigger.records import records_of

pytestmark = pytest.mark.slow

FAST = ["--patience", "0.5", "--even-if-not-ready"]


def _settle_dead(machine: Machine) -> None:
    deadline = time.monotonic() + 30
    while machine._daemon is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "crash", ["*", "rack-?", "rack-7,rack-8", "rack-7 rack-8", "", "rack-[67]"]
)
def test_no_pattern_panics_anything(
    machine: Machine, crash: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trigger", "db", "--crash", crash, *FAST]) == 5
    assert "no-single-name" in capsys.readouterr().err
    assert machine.deaths == 0 and not list(records_of(NODE))


def test_another_name_panics_nothing(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("rack-8", "db", "RACK-7", "rack-7.example.com", "rack"):
        assert main(["trigger", "db", "--crash", wrong, *FAST]) == 5
        assert f"the machine calls itself {NODE}, not {wrong}" in capsys.readouterr().err
    assert machine.deaths == 0 and not list(records_of(NODE))


def test_without_crash_it_only_says_what_it_would_do(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trigger", "db", "--even-if-not-ready"]) == 0
    said = capsys.readouterr().err
    assert "would do: echo c >/proc/sysrq-trigger on root@127.0.0.1" in said
    assert f"nothing was done; to do it: --crash {NODE}" in said
    # This machine has no capture kernel: doctor says so, and the guard follows it.
    assert main(["trigger", "db"]) == 5
    assert "doctor says that it would leave no dump" in capsys.readouterr().err
    assert main(["trigger", "db", "--crash", NODE]) == 5
    assert "not-ready" in capsys.readouterr().err
    assert machine.deaths == 0


def test_it_dies_comes_back_and_its_dump_comes_home(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trigger", "db", "--crash", NODE, "--json", *FAST]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["fired"], document["confirmed"], machine.deaths) == (True, True, 1)
    # Who, when and what was on disk before it was done, and what came of it after.
    ((path, record),) = list(records_of(NODE))
    assert str(path) == document["record"] and path.stat().st_mode & 0o777 == 0o600
    assert (record.via, record.nodename, record.captures) == ("sysrq", NODE, ())
    assert record.outcome.startswith("back") and "@" in record.who and record.nonce

    assert main(["collect", "db", "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (collected,) = document["collected"]
    assert collected["capture"]["producer"] == "kdump-tools"
    (source,) = machine.crash_folder.glob("*/dump.*")
    home = Path(collected["dump"])
    assert home.read_bytes() == source.read_bytes()
    assert home.parent.parent == tmp_path / "db" and home.stat().st_mode & 0o777 == 0o600
    assert {check["status"] for check in collected["checks"]} == {"pass"}
    assert not [p for p in home.parent.iterdir() if p.name.startswith(".")]


def test_not_twice_in_a_moment(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.saves = False
    # It dies, does not come back, and a second trigger would kill a capture kernel that may run.
    assert main(["trigger", "db", "--crash", NODE, "--patience", "0.005", *FAST[2:]]) == 1
    _settle_dead(machine)
    machine.saves = True
    machine.boot()
    assert main(["trigger", "db", "--crash", NODE, *FAST]) == 5
    assert "just-triggered" in capsys.readouterr().err
    assert machine.deaths == 1
    assert main(["trigger", "db", "--crash", NODE, "--again", *FAST]) == 0
    assert machine.deaths == 2


def test_a_changed_host_key_panics_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.know("other")
    assert main(["trigger", "db", "--crash", NODE, *FAST]) == 4
    assert "host-key-changed" in capsys.readouterr().err
    assert main(["collect", "db"]) == 4
    assert "host-key-changed" in capsys.readouterr().err
    assert machine.deaths == 0


def test_a_machine_that_is_away(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine._kill()
    assert main(["collect", "db"]) == 4
    # Over ssh alone, a machine that does not answer cannot be panicked.
    assert main(["trigger", "db", "--crash", NODE, *FAST]) == 5
    assert "does not answer over ssh" in capsys.readouterr().err
