from __future__ import annotations

import pytest

from kautopsy.drill.guest import judge
from kautopsy.model.crash import Crash, Kind, TaskRef
from kautopsy.model.errors import KautopsyError
from kautopsy.model.finding import Verdict
from kautopsy.model.report import Report, Symbols, SymbolSource

WRITER = TaskRef(pid=155, comm="sh")


def _report(kind: Kind | None, task: TaskRef | None = None) -> Report:
    return Report(
        dump=None,
        symbols=Symbols(source=SymbolSource.NONE),
        system=None,
        crash=Crash(kind=Kind.PANIC, title="panic", task=task),
        verdict=Verdict(kind=kind, title="why", confidence=0.9) if kind else None,
    )


def test_the_drills_own_cause_is_right() -> None:
    said = judge(_report(Kind.OPERATOR_SYSRQ, WRITER), Kind.OPERATOR_SYSRQ, WRITER)
    assert said == "operator-sysrq: why"


@pytest.mark.parametrize("kind", [None, Kind.UNKNOWN])
def test_no_verdict_is_said_and_no_failure(kind: Kind | None) -> None:
    assert judge(_report(kind), Kind.OPERATOR_SYSRQ, WRITER) == "no verdict (symbols: none)"


def test_another_cause_fails() -> None:
    with pytest.raises(KautopsyError, match="the verdict is deadlock"):
        judge(_report(Kind.DEADLOCK, WRITER), Kind.OPERATOR_SYSRQ, WRITER)


def test_another_task_fails() -> None:
    with pytest.raises(KautopsyError, match=r"init \(pid 1\) panicked, but it was sh \(pid 155\)"):
        judge(_report(Kind.OPERATOR_SYSRQ, TaskRef(pid=1, comm="init")), Kind.PANIC, WRITER)


def test_an_nmi_has_no_writer() -> None:
    idle = TaskRef(pid=0, comm="swapper/0")
    assert judge(_report(Kind.OPERATOR_NMI, idle), Kind.OPERATOR_NMI, None)
