"""Every state of a drill has a limit and a name, and what is done is written down before."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.rack.paper import (
    CAPTURE,
    NODE,
    PANIC,
    RESTART,
    SAVED,
    SAVING,
    Paper,
    look,
    on_paper,
    state_folder,
)

from kautopsy.cli._output import Progress
from kautopsy.drill import rack
from kautopsy.drill.firing import Asked, trigger
from kautopsy.drill.guest import Outcome
from kautopsy.drill.rack import RackDrill
from kautopsy.drill.session import Limits, Session
from kautopsy.model.drill import StageStatus
from kautopsy.model.errors import KautopsyError

pytestmark = pytest.mark.slow

_SHORT = Limits(panic=0.4, capture=0.4, save=0.4, back=0.4)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _drill(
    patch: pytest.MonkeyPatch, paper: Paper, said: list[str], limits: Limits = _SHORT
) -> Outcome:
    with on_paper(patch, paper) as machine, Session(machine, limits=limits) as session:
        drill = RackDrill(session, Asked("ipmi", NODE), NODE, tell=said.append)
        return drill.walk(partial(Progress, quiet=True))


@pytest.mark.parametrize(
    ("story", "stage", "why", "state"),
    [
        ([], "panicked", "the trigger was lost", "alive: it took no notice"),
        (PANIC, "capture kernel up", "no capture kernel showed", "dying: it panicked"),
        ([*PANIC, *CAPTURE], "back", "did not answer again", "capturing: its capture kernel runs"),
        ([*PANIC, *CAPTURE, *SAVING], "back", "did not answer", "capturing: its capture kernel sa"),
        ([*PANIC, *CAPTURE, *SAVING, *SAVED], "back", "did not answer", "saved: its dump is on"),
        ([*PANIC, *CAPTURE, *SAVED, *RESTART], "back", "did not answer", "rebooting"),
    ],
)
def test_every_state_has_its_limit(
    story: list[str], stage: str, why: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    outcome = _drill(monkeypatch, Paper(story=story), [])
    assert time.monotonic() - started < 30
    assert outcome.failed is not None and outcome.failed.name == stage
    assert why in outcome.failed.detail
    assert outcome.record.state is not None and outcome.record.state.startswith(state)
    # A later state is not waited for, and the drill is recorded all the same.
    names = [s.name for s in outcome.record.stages]
    later = outcome.record.stages[names.index(stage) + 1 : -1]
    assert all(s.status is StageStatus.SKIPPED for s in later)
    assert outcome.record.stages[-1].status is StageStatus.PASSED


def _interrupt(*_arguments: object, **_keywords: object) -> object:
    raise KeyboardInterrupt


_WHOLE = [*PANIC, *CAPTURE, *SAVING, *SAVED, *RESTART]
_HANGS: dict[str, tuple[Callable[[pytest.MonkeyPatch, Paper], None], str]] = {
    "console": (
        lambda patch, _p: patch.setattr(Session, "open_console", _interrupt),
        "untouched: it runs as it did",
    ),
    "nonce": (
        lambda patch, _p: patch.setattr(Session, "write_nonce", _interrupt),
        "untouched: it runs as it did",
    ),
    "fire": (
        lambda _patch, p: setattr(p, "fire", _interrupt),
        "told to panic: whether it did is not known",
    ),
    "panic": (
        lambda patch, _p: patch.setattr(Session, "wait_for_panic", _interrupt),
        "told to panic: whether it did is not known",
    ),
    "capture": (
        lambda patch, _p: patch.setattr(Session, "wait_for_capture", _interrupt),
        "dying: it panicked, and its capture kernel should be saving",
    ),
    "save": (
        lambda patch, _p: patch.setattr(Session, "wait_for_save", _interrupt),
        "capturing: its capture kernel runs; leave it alone",
    ),
    "back": (
        lambda patch, _p: patch.setattr(Session, "wait_for_return", _interrupt),
        "rebooting",
    ),
    "collect": (
        lambda patch, _p: patch.setattr(rack, "collect", _interrupt),
        "back: it has booted again",
    ),
}


@pytest.mark.parametrize("where", _HANGS)
def test_ctrl_c_in_any_state_says_which_it_is(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The console has said as much as it would when that state begins.
    stories = {"capture": PANIC, "save": [*PANIC, *CAPTURE]}
    paper = Paper(story=stories.get(where, _WHOLE), afterwards=look("second", uptime=3.0))
    hang, state = _HANGS[where]
    hang(monkeypatch, paper)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _drill(monkeypatch, paper, said, Limits(panic=5, capture=5, save=5, back=5))
    assert f"interrupted: db is {state}" in said
    # Nothing is left half: the console is closed, the drill and the trigger are written down.
    assert paper.console.closed or where == "console"
    (path,) = (state_folder(tmp_path) / "drills").glob("*/record.json")
    assert json.loads(path.read_text())["state"] == state
    triggers = list((state_folder(tmp_path) / "triggers").glob("*.json"))
    if where in ("console", "nonce"):
        assert not triggers and paper.fired == 0
        return
    (record,) = triggers
    assert json.loads(record.read_text())["outcome"] == f"interrupted: {state}"


def test_who_when_and_what_are_on_disk_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(story=_WHOLE, afterwards=look("second", uptime=3.0))
    seen: list[dict[str, object]] = []
    fire = paper.fire

    def look_first() -> str:
        (path,) = (state_folder(tmp_path) / "triggers").glob("*.json")
        seen.append(json.loads(path.read_text()))
        return fire()

    paper.fire = look_first  # type: ignore[method-assign]
    with on_paper(monkeypatch, paper) as machine, Session(machine, limits=_SHORT) as session:
        document = trigger(session, Asked("ipmi", NODE), folder=tmp_path / "console")
    assert document.confirmed
    (record,) = seen
    assert record["nodename"] == NODE and record["what"] == "an NMI on paper"
    assert "@" in str(record["who"]) and UUID_PROOF in str(record["proof"])
    assert abs(float(str(record["when"])) - time.time()) < 60
    assert not record.get("outcome")


UUID_PROOF = "paper gives its UUID"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file system without room")
def test_what_cannot_be_written_down_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "state/kautopsy"
    blocked.mkdir(parents=True)
    (blocked / "triggers").write_text("a file where the folder should be")
    paper = Paper(story=_WHOLE)
    with (
        on_paper(monkeypatch, paper) as machine,
        Session(machine, limits=_SHORT) as session,
        pytest.raises(KautopsyError) as caught,
    ):
        trigger(session, Asked("ipmi", NODE), folder=tmp_path / "console")
    assert caught.value.slug == "no-record" and paper.fired == 0
    assert session.state.startswith("untouched")


def test_a_trigger_that_was_lost_is_repeated_only_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An NMI in the seconds after a reset is lost: the machine goes on, with the same boot id."""
    for repeat, fired in ((0, 1), (2, 3)):
        paper = Paper(now=look(uptime=2.0))
        with on_paper(monkeypatch, paper) as machine, Session(machine, limits=_SHORT) as session:
            document = trigger(
                session, Asked("ipmi", NODE, repeat=repeat, again=True), folder=tmp_path / "c"
            )
        assert (document.confirmed, paper.fired) == (False, fired)
        assert any("the trigger was lost" in note for note in document.notes)
    # One that an ignoring kernel saw is not lost, and not repeated.
    paper = Paper(story=[PANIC[0], "[   98.2] Dazed and confused, but trying to continue"])
    paper.afterwards = paper.now
    with on_paper(monkeypatch, paper) as machine, Session(machine, limits=_SHORT) as session:
        document = trigger(
            session, Asked("ipmi", NODE, repeat=2, again=True), folder=tmp_path / "d"
        )
    assert (document.confirmed, paper.fired) == (False, 1)


def test_leaving_closes_the_console_even_if_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper(now=None)
    with (
        contextlib.suppress(KautopsyError),
        on_paper(monkeypatch, paper) as machine,
        Session(machine, limits=_SHORT) as session,
    ):
        trigger(session, Asked("ipmi", "another"), folder=tmp_path / "c")
    assert paper.console.closed and paper.fired == 0
