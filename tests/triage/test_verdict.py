"""Which finding explains the others."""

from __future__ import annotations

import pytest

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.finding import Culprit, Finding, Severity
from kautopsy.triage.verdict import THRESHOLD, weigh


def finding(
    kind: Kind, confidence: float = 0.9, *, severity: Severity = Severity.FATAL, key: str = ""
) -> Finding:
    return Finding(
        kind=kind,
        title=kind.value,
        explanation="",
        confidence=confidence,
        severity=severity,
        culprit=Culprit(function=kind.value),
        key=key,
    )


SYSRQ = finding(Kind.OPERATOR_SYSRQ, 0.99, severity=Severity.INFO)


def test_a_machine_that_was_well_is_called_so() -> None:
    assert weigh((SYSRQ,), trigger=Trigger.SYSRQ).kind is Kind.OPERATOR_SYSRQ


def test_a_deadlock_explains_the_operator_and_the_hung_tasks() -> None:
    found = (SYSRQ, finding(Kind.HUNG_TASK), finding(Kind.DEADLOCK, 0.7))
    verdict = weigh(found, trigger=Trigger.SYSRQ)
    assert verdict.kind is Kind.DEADLOCK
    assert verdict.finding == 2
    assert verdict.confidence == 0.7


def test_a_stuck_spinlock_beats_the_lockup_of_its_victim() -> None:
    found = (finding(Kind.SOFT_LOCKUP, 0.95), finding(Kind.SPINLOCK_STUCK, 0.75))
    verdict = weigh(found, trigger=Trigger.SOFT_LOCKUP, reported=Kind.SOFT_LOCKUP)
    assert verdict.kind is Kind.SPINLOCK_STUCK


def test_a_leak_beats_the_kill_by_which_it_was_noticed() -> None:
    found = (finding(Kind.OUT_OF_MEMORY, 0.95), finding(Kind.MEMORY_LEAK, 0.6))
    assert weigh(found, trigger=Trigger.OUT_OF_MEMORY).kind is Kind.MEMORY_LEAK


def test_a_fault_is_why_a_machine_died_whatever_hung_beside_it() -> None:
    found = (finding(Kind.DEADLOCK, 0.97), finding(Kind.NULL_DEREFERENCE, 0.9))
    assert weigh(found, trigger=Trigger.OOPS).kind is Kind.NULL_DEREFERENCE
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.DEADLOCK


def test_corruption_before_an_operator_came_is_not_forgotten() -> None:
    found = (SYSRQ, finding(Kind.SLAB_CORRUPTION, 0.8))
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.SLAB_CORRUPTION


def test_nothing_certain_is_unknown_and_names_no_finding() -> None:
    verdict = weigh((finding(Kind.HUNG_TASK, THRESHOLD - 0.01),), trigger=Trigger.NMI)
    assert verdict.kind is Kind.UNKNOWN
    assert verdict.finding is None
    assert verdict.culprit is None


def test_what_is_uncertain_does_not_outrank_what_is_certain() -> None:
    found = (finding(Kind.DEADLOCK, 0.3), finding(Kind.HUNG_TASK, 0.8))
    assert weigh(found, trigger=Trigger.HUNG_TASK).kind is Kind.HUNG_TASK


def test_a_stall_of_rcu_is_named_as_the_kernel_did() -> None:
    found = (finding(Kind.SOFT_LOCKUP, 0.85), finding(Kind.RCU_STALL, 0.92))
    verdict = weigh(found, trigger=Trigger.PANIC, reported=Kind.RCU_STALL)
    assert verdict.kind is Kind.RCU_STALL
    assert weigh(found, trigger=Trigger.SOFT_LOCKUP).kind is Kind.SOFT_LOCKUP


def test_a_warning_does_not_explain_a_hang() -> None:
    found = (finding(Kind.WARNING, 0.8, severity=Severity.WARNING), finding(Kind.HUNG_TASK, 0.6))
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.HUNG_TASK


def test_the_key_is_the_finding_s() -> None:
    assert weigh((finding(Kind.DEADLOCK, key="deadlock:a,b"),)).key == "deadlock:a,b"


def test_a_warning_that_the_machine_survived_does_not_make_it_ill() -> None:
    found = (SYSRQ, finding(Kind.WARNING, 0.8, severity=Severity.WARNING))
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.OPERATOR_SYSRQ


def test_an_oops_that_was_survived_does_not_explain_a_hang() -> None:
    found = (SYSRQ, finding(Kind.NULL_DEREFERENCE, 0.8), finding(Kind.HUNG_TASK, 0.67))
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.HUNG_TASK
    assert weigh(found[:2], trigger=Trigger.SYSRQ).kind is Kind.NULL_DEREFERENCE


def test_damage_to_memory_explains_a_hang() -> None:
    found = (SYSRQ, finding(Kind.LIST_CORRUPTION, 0.8), finding(Kind.SOFT_LOCKUP, 0.85))
    assert weigh(found, trigger=Trigger.SYSRQ).kind is Kind.LIST_CORRUPTION


def test_a_machine_under_suspicion_is_not_surely_well() -> None:
    found = (SYSRQ, finding(Kind.RCU_STALL, 0.45))
    verdict = weigh(found, trigger=Trigger.SYSRQ)
    assert verdict.kind is Kind.OPERATOR_SYSRQ
    assert verdict.confidence == pytest.approx(0.55)
