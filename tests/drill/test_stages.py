from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from kautopsy.drill.records import drills_folder, new_folder, write_record
from kautopsy.drill.stages import DrillFailedError, Name, Stages, StageView
from kautopsy.model.base import from_json
from kautopsy.model.drill import DrillRecord, StageStatus
from kautopsy.model.errors import KautopsyError


class View:
    detail = ""


class Screen:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[StageView]:
        view = View()
        try:
            yield view
        finally:
            self.seen.append((name, view.detail))


def test_a_stage_that_passes_keeps_what_it_saw() -> None:
    screen = Screen()
    stages = Stages(screen)
    with stages.stage(Name.KERNEL) as view:
        view.detail = "6.1"
    first = stages.all()[0]
    assert (first.name, first.status, first.detail) == ("kernel", StageStatus.PASSED, "6.1")
    assert stages.failed is None
    assert screen.seen == [("kernel", "6.1")]


def test_the_first_failure_says_why_and_what_to_do_and_the_rest_is_skipped() -> None:
    screen = Screen()
    stages = Stages(screen)
    with stages.stage(Name.KERNEL):
        pass
    with pytest.raises(DrillFailedError), stages.stage(Name.BOOTED):
        raise KautopsyError("fell over", thing="guest", hint="lift it")
    assert stages.failed is not None
    assert stages.failed.detail == "guest: fell over. What to do: lift it"
    assert screen.seen[-1] == ("booted", stages.failed.detail)
    statuses = {stage.name: stage.status for stage in stages.all()}
    assert list(statuses) == [str(name) for name in Name]
    assert statuses["kernel"] is StageStatus.PASSED
    assert statuses["booted"] is StageStatus.FAILED
    assert set(list(statuses.values())[2:]) == {StageStatus.SKIPPED}


def test_a_bug_is_not_a_failed_stage() -> None:
    stages = Stages(Screen())
    with pytest.raises(ZeroDivisionError), stages.stage(Name.KERNEL):
        raise ZeroDivisionError
    assert stages.failed is None


def test_records_are_kept_below_the_state_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    first, second = new_folder("6.1"), new_folder("6.1")
    assert first != second
    assert first.parent == second.parent == drills_folder() == state / "kautopsy/drills"
    record = DrillRecord(passed=False, stages=Stages(Screen()).all(), nonce="n")
    file = write_record(first, record)
    assert from_json(file.read_bytes(), DrillRecord) == record
    assert [path.name for path in first.iterdir()] == ["record.json"]


def test_a_state_directory_that_cannot_be_made_is_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("state") / "file"
    file.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    with pytest.raises(KautopsyError, match="no-state"):
        new_folder("6.1")
