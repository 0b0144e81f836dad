"""Damaged dumps: a report that says what is missing, or an error with a name; never a traceback.

In the child process, as users' are: libkdumpfile maps the file, and dies of SIGBUS where a damaged
header makes it look beyond the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.lab.specimen import Specimen
from kautopsy.model.crash import Kind
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Report
from kautopsy.triage.isolation import analyse

pytestmark = pytest.mark.guest

HONEST = {Kind.UNKNOWN, Kind.OPERATOR_SYSRQ}


@pytest.fixture(scope="module")
def raw(lab_vmcore: Callable[[str], Specimen]) -> bytes:
    return lab_vmcore("5.10").vmcore.read_bytes()


def examined(path: Path, content: bytes) -> Report | None:
    path.write_bytes(content)
    try:
        *_, last = analyse(path, debuginfo=False)
    except KautopsyError:
        return None
    return last


@pytest.mark.parametrize("tenth", range(10))
def test_truncated(tmp_path: Path, raw: bytes, tenth: int) -> None:
    report = examined(tmp_path / "vmcore", raw[: len(raw) * tenth // 10])
    if report is not None:
        assert report.dump is not None
        assert report.dump.problems or report.symbols.notes
        assert report.verdict is None or report.verdict.kind in HONEST


@pytest.mark.parametrize("seed", range(10))
def test_mutated(tmp_path: Path, raw: bytes, seed: int) -> None:
    dice = random.Random(seed)
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 30, 1000))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    report = examined(tmp_path / "vmcore", bytes(changed))
    if report is not None:
        assert report.verdict is None or report.verdict.kind in HONEST
