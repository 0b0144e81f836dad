"""crash and the shell, field by field, on one of the lab's dumps (see docs/crash-parity.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.shell.parity.commands import LINES
from tests.shell.parity.compare import compare
from tests.shell.parity.report import measure, missing

from kautopsy.lab.specimen import Specimen

LabVmcore = Callable[[str], Specimen]
_SLOW = ("search -k", "search -V", "foreach", "sym -l", "sym -M", "whatis -r", "whatis -m", "vm -")


def test_comparison_counts_fields() -> None:
    same = compare("a b c\n1 2 3\n", "a  b c\n1 2 3")
    assert (same.fields, same.equal) == (6, 6)
    one_off = compare("pid 1 S\npid 2 R\n", "pid 1 S\npid 2 X\n")
    assert (one_off.fields, one_off.equal) == (6, 5)
    lacking = compare("a b\nc d\n", "a b\n")
    assert (lacking.fields, lacking.equal) == (4, 2)
    more = compare("a b\n", "a b\nc d\n")
    assert (more.fields, more.equal) == (4, 2)


def test_no_command_is_missing() -> None:
    assert missing() == []


@pytest.mark.guest
@pytest.mark.timeout(1800)
def test_fields_agree_with_crash(lab_vmcore: LabVmcore) -> None:
    # What takes crash minutes is left to scripts/crash_parity.py.
    lines = [line for line in LINES if not line.startswith(_SLOW)]
    found = measure(lab_vmcore("6.12"), lines=lines)
    worst = sorted(found.judged, key=lambda one: one.equal - one.fields)[:10]
    assert found.fields > 5_000
    assert found.share >= 0.95, [f"{one.line}: {one.equal}/{one.fields}" for one in worst]
