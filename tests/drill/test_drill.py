"""Drills on guests: one that passes, and the five that must fail, each for its own reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kautopsy.cli._output import Progress
from kautopsy.cli.main import main
from kautopsy.drill.guest import GuestDrill, Outcome
from kautopsy.drill.stages import Name
from kautopsy.dump.header import read_dump
from kautopsy.lab.config import GuestConfig, Limits
from kautopsy.lab.kernels import GuestKernel
from kautopsy.model.drill import StageStatus

pytestmark = pytest.mark.guest


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _drill(config: Callable[[GuestKernel], GuestConfig]) -> Outcome:
    return GuestDrill("6.1", config=config).walk(partial(Progress, quiet=True))


def _fails_at(name: Name, outcome: Outcome) -> str:
    assert not outcome.record.passed
    assert outcome.failed is not None
    assert outcome.failed.name == name
    # What comes after is not reached, but even a failed drill is recorded.
    later = list(Name)[list(Name).index(name) + 1 : -1]
    statuses = {stage.name: stage.status for stage in outcome.record.stages}
    assert all(statuses[stage] is StageStatus.SKIPPED for stage in later)
    assert statuses[Name.RECORDED] is StageStatus.PASSED
    assert json.loads(outcome.file.read_text())["passed"] is False
    assert "What to do: " in outcome.failed.detail
    return outcome.failed.detail


def test_too_little_memory_for_the_capture_kernel() -> None:
    outcome = _drill(partial(GuestConfig, crashkernel="64M"))
    why = _fails_at(Name.CAPTURE_KERNEL, outcome)
    assert "ran out of memory: crashkernel=64M is too small" in why
    assert outcome.record.dump is None
    console = (outcome.file.parent / "console.log").read_text(errors="replace")
    assert "deadlocked on memory" in console or "Out of memory" in console


def test_too_little_memory_for_kexec() -> None:
    why = _fails_at(Name.ARMED, _drill(partial(GuestConfig, crashkernel="40M")))
    assert "no room for the capture kernel in the 40 MiB that are reserved" in why


def test_no_capture_image() -> None:
    why = _fails_at(Name.ARMED, _drill(partial(GuestConfig, capture_image=False)))
    assert "there is no capture image" in why


def test_a_full_target_leaves_half_a_dump() -> None:
    outcome = _drill(partial(GuestConfig, sink_mib=8))
    assert "No space left on device" in _fails_at(Name.SAVED, outcome)
    assert outcome.record.dump is not None
    assert read_dump(Path(outcome.record.dump)).complete is False


def test_a_capture_kernel_that_hangs() -> None:
    hanging = partial(
        GuestConfig,
        capture_prelude="while :; do sleep 60; done\n",
        limits=Limits(silence=25.0),
    )
    assert "started and then fell silent" in _fails_at(Name.CAPTURE_KERNEL, _drill(hanging))


def test_the_command_passes_and_finds_its_nonce(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = main(["drill", "--kernel", "6.1", "--json", "--out", str(out)])
    said = capsys.readouterr()
    print(said.err, file=sys.stderr)
    record = json.loads(said.out)
    assert (status, record["passed"]) == (0, True)
    assert [stage["name"] for stage in record["stages"]] == [str(name) for name in Name]
    assert all(stage["status"] == "passed" for stage in record["stages"])
    assert sum(stage["seconds"] for stage in record["stages"]) > 1
    assert record["dump"] == str(out / "vmcore")
    assert record["nonce"] in (out / "console.log").read_text(errors="replace")
    assert record["report"]["verdict"]["kind"] == "operator-sysrq"
    (kept,) = (tmp_path / "state/kautopsy/drills").glob("*/record.json")
    assert json.loads(kept.read_text()) == record


def test_an_nmi_from_the_hypervisor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--via", "qmp", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "operator-nmi" in said.out
    assert "✓ nonce found" in said.err


def test_a_failing_command_says_where_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--crashkernel", "40M"]) == 1
    assert "the drill failed at stage “armed”: kexec finds no room" in capsys.readouterr().err
