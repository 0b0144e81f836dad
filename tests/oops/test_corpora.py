"""The goals on labelled third-party logs, where those are at hand."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
CORPORA = Path(os.environ.get("KAUTOPSY_CORPORA", ROOT.parent / "shared" / "corpora"))

pytestmark = pytest.mark.skipif(
    not (CORPORA / "syzkaller.jsonl").is_file(), reason="no corpora (set KAUTOPSY_CORPORA)"
)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_oops", ROOT / "bench" / "oops.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("scorer", "goals"),
    [
        (
            "syzkaller",
            {
                "syzkaller: crash or not": 0.985,
                "syzkaller: kind": 0.97,
                "syzkaller: function in title": 0.96,
                "syzkaller: corrupted": 0.92,
            },
        ),
        ("satyr", {"satyr: found": 1.0, "satyr: taints": 0.95, "satyr: first function": 0.95}),
        ("lkp", {"lkp: functions of the call trace": 0.95, "lkp: where it begins": 0.95}),
        ("logspec", {"logspec: number of kernel errors": 0.95}),
    ],
)
def test_goals(bench: ModuleType, scorer: str, goals: dict[str, float]) -> None:
    table = bench.Table(failures=False)
    getattr(bench, scorer)(CORPORA, table)
    rates = {}
    for what in goals:
        right, count = (sum(pair) for pair in zip(*table.counts[what].values(), strict=True))
        rates[what] = right / count
    missed = {what: rate for what, rate in rates.items() if rate < goals[what]}
    assert not missed
