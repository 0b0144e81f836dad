"""How detectors are run, on a kernel of which nothing can be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from drgn import Architecture, FaultError, Platform, Program

from kautopsy.model.crash import Kind
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.finding import Finding, Severity
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.triage import detector as module
from kautopsy.triage.detector import Detector, Need, detectors, investigate
from kautopsy.triage.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene(
        Program(Platform(Architecture.X86_64)),
        DumpFile(path="vmcore", format=DumpFormat.ELF, complete=False),
        Symbols(source=SymbolSource.NONE),
    )


def test_a_dump_without_anything_yields_no_finding_and_says_why(scene: Scene) -> None:
    assert list(investigate(scene)) == []
    assert any("types (DWARF or BTF)" in note for note in scene.notes)


GOOD = Finding(kind=Kind.PANIC, title="", explanation="", confidence=0.9, severity=Severity.FATAL)


def test_a_detector_that_fails_takes_no_other_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(scene: Scene) -> Iterator[Finding]:
        yield GOOD
        raise FaultError("no such page", 0xFFFF888000001000)

    def works(scene: Scene) -> Iterator[Finding]:
        yield GOOD

    made = (Detector("fails", "", (), fails), Detector("works", "", (), works))
    monkeypatch.setattr(module, "detectors", lambda: made)
    assert list(investigate(scene)) == [GOOD, GOOD]
    [note] = scene.notes
    assert note.startswith("fails not looked for to the end")
    assert "0xffff888000001000" in note


def test_a_defect_is_told_and_takes_no_other_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(scene: Scene) -> Iterator[Finding]:
        yield GOOD
        raise AssertionError("a list that is none")

    seen = []

    def asks(scene: Scene) -> Iterator[Finding]:
        seen.append(tuple(scene.unfinished))
        return iter(())

    made = (Detector("fails", "", (), fails), Detector("asks", "", (), asks, last=True))
    monkeypatch.setattr(module, "detectors", lambda: made)
    assert list(investigate(scene)) == [GOOD]
    assert module.DEFECT in scene.notes[0] and "a list that is none" in scene.notes[0]
    assert seen == [("fails",)]


def test_what_depends_on_the_others_comes_last() -> None:
    assert [one.name for one in detectors() if one.last] == ["operator"]
    assert detectors()[-1].name == "operator"


def test_each_detector_is_a_page() -> None:
    for one in detectors():
        assert len(one.doc) > 200, one.name
        assert all(isinstance(need, Need) for need in one.needs)
