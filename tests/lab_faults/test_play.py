"""Scenes of each family on all kernels, from the source to the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from kautopsy.lab.faults.judge import judge
from kautopsy.lab.faults.play import play
from kautopsy.lab.faults.scenes import StopBy, find_scene
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.triage.isolation import analyse

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1500)]


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("5.10", "bad-pointer-vmalloc"),
        ("6.1", "null-read"),
        ("6.1", "spinlock-holder-asleep"),
        ("6.1", "abba-mutex-rwsem"),
        ("6.12", "healthy-nmi"),
        ("7.2", "cycle-three"),
    ],
)
def test_verdict_is_true(kernel: str, name: str, tmp_path: Path) -> None:
    scene = find_scene(name)
    played = play(scene, fetch_kernel(kernel), out=tmp_path)
    console = (tmp_path / "console.log").read_text(errors="replace")
    if played.trigger is StopBy.SYSRQ:
        assert "sysrq triggered crash" in console
    *_, report = analyse(Path(played.vmcore), debuginfo=False)
    judgement = judge(report, played)
    assert judgement.right, judgement
    assert not judgement.confidently_wrong
