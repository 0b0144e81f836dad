"""A report is held against the truth; here both are made up."""

from __future__ import annotations

from kautopsy.lab.faults.judge import Judgement, judge
from kautopsy.lab.faults.play import Played
from kautopsy.lab.faults.scenes import Actor, Scene, StopBy
from kautopsy.model.crash import Crash, Kind
from kautopsy.model.finding import Culprit, Finding, Severity, TaskRole, Verdict
from kautopsy.model.report import Report, Symbols, SymbolSource

SCENE = Scene(
    name="made-up",
    what="two threads wait for each other",
    verdict=(Kind.DEADLOCK,),
    crash=(Kind.HUNG_TASK,),
    culprit=("copy",),
    tasks=(Actor(comm="one", role="waiter"), Actor(comm="two", role="waiter")),
    mentions=("volume",),
)


def judged(
    *,
    crash: Kind = Kind.HUNG_TASK,
    verdict: Kind = Kind.DEADLOCK,
    function: str = "copy",
    module: str | None = "kautopsy_faults",
    comms: tuple[str, ...] = ("one", "two"),
    title: str = "a volume is locked twice",
    trigger: StopBy = StopBy.SELF,
) -> Judgement:
    culprit = Culprit(function=function, module=module)
    finding = Finding(
        kind=verdict,
        title=title,
        explanation="",
        confidence=0.9,
        severity=Severity.FATAL,
        culprit=culprit,
        tasks=tuple(TaskRole(pid=7, comm=comm, role="waiter") for comm in comms),
    )
    report = Report(
        dump=None,
        symbols=Symbols(source=SymbolSource.BTF),
        system=None,
        crash=Crash(kind=crash, title=""),
        findings=(finding,),
        verdict=Verdict(kind=verdict, title=title, confidence=0.9, culprit=culprit, finding=0),
    )
    played = Played(
        scene=SCENE,
        kernel="6.1",
        release="6.1.0-1-cloud-amd64",
        trigger=trigger,
        vmcore="vmcore",
        console="console.log",
        seconds=1.0,
    )
    return judge(report, played)


def test_all_right() -> None:
    found = judged()
    assert found.right
    assert not found.confidently_wrong
    assert found.said == ("hung-task", "deadlock", "copy")


def test_wrong_verdict_is_confidently_wrong_and_unknown_is_not() -> None:
    wrong = judged(verdict=Kind.BUG)
    assert not wrong.right
    assert wrong.confidently_wrong
    modest = judged(verdict=Kind.UNKNOWN)
    assert not modest.right
    assert not modest.confidently_wrong


def test_culprit_must_be_the_function_and_the_module() -> None:
    assert not judged(function="mutex_lock").culprit
    assert not judged(module=None).culprit


def test_operator_changes_what_is_reported() -> None:
    assert not judged(trigger=StopBy.SYSRQ).crash
    assert judged(trigger=StopBy.SYSRQ, crash=Kind.OPERATOR_SYSRQ).right


def test_missing_tasks_and_words_are_listed() -> None:
    assert judged(comms=("two",)).missing_tasks == ("one",)
    assert judged(title="a lock").missing_words == ("volume",)
