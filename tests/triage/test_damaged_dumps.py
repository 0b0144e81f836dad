"""Damaged dumps: a report that says what is missing, or an error with a name; never a traceback.

The damages are those of `make bench-damage`, which does a thousand of them on eight dumps; here
some of each on a machine that was well and on one that died of a deadlock.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from kautopsy.fleet.engine.analyse import Task, analyse_dump
from kautopsy.fleet.nouns import Outcome
from kautopsy.lab.faults.play import play
from kautopsy.lab.faults.scenes import find_scene
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.specimen import Specimen
from kautopsy.model.crash import Kind
from kautopsy.model.errors import UnreadableError
from kautopsy.triage.isolation import analyse

pytestmark = pytest.mark.guest

BENCH = Path(__file__).parents[2] / "bench" / "damage.py"
EACH = 7
"""Of every damage, on either dump; nine damages."""


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_damage", BENCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sound(
    bench: ModuleType,
    lab_vmcore: Callable[[str], Specimen],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, object]:
    """Dumps that are whole; a verdict on them has to be right before they are damaged."""
    well, hung = find_scene("healthy-sysrq"), find_scene("abba-mutex")
    healthy = bench.Sound.read("healthy", lab_vmcore("5.10").vmcore, well)
    played = play(hung, fetch_kernel("5.10"), out=tmp_path_factory.mktemp("deadlock"))
    deadlock = bench.Sound.read("deadlock", Path(played.vmcore), hung, Kind.HUNG_TASK)
    return {"healthy": healthy, "deadlock": deadlock}


def damages() -> list[str]:
    return [
        "header", "sub-header", "bitmap", "descriptors", "data", "holes", "cut", "left-out",
        "zeroed",
    ]  # fmt: skip


def test_no_damage_is_left_out(bench: ModuleType) -> None:
    # Altered words can be evidence of what never was: those are counted by the bench alone.
    assert list(bench.DAMAGES) == [*damages(), "altered"]


@pytest.mark.parametrize("name", ["healthy", "deadlock"])
@pytest.mark.parametrize("damage", damages())
def test_a_damaged_dump_is_not_believed(
    bench: ModuleType, sound: dict[str, object], tmp_path: Path, name: str, damage: str
) -> None:
    for seed in range(EACH):
        result = bench.examine(sound[name], damage, seed, tmp_path)
        assert result.outcome not in bench.BAD, result


def test_one_cut_off_at_a_tenth_of_its_length(
    bench: ModuleType, lab_vmcore: Callable[[str], Specimen], tmp_path: Path
) -> None:
    raw = lab_vmcore("5.10").vmcore.read_bytes()
    path = tmp_path / "vmcore"
    for tenth in range(1, 10):
        path.write_bytes(raw[: len(raw) * tenth // 10])
        *_, report = analyse(path, debuginfo=False)
        assert report.dump is not None
        assert any("the file is cut off" in problem for problem in report.dump.problems)
        assert report.verdict is None or report.verdict.kind is Kind.UNKNOWN
    # Within its bitmaps, where libkdumpfile dies of SIGBUS.
    path.write_bytes(raw[:50_000])
    with pytest.raises(UnreadableError, match="ends within its page bitmaps") as raised:
        list(analyse(path, debuginfo=False))
    assert raised.value.slug == "truncated"
    task = Task(job_id=1, path=str(path), time_limit=600, memory_limit=1 << 30)
    assert analyse_dump(task).outcome is Outcome.UNREADABLE
