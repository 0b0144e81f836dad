"""One word of memory is no evidence: whatever is an age or a sum has a second witness."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from drgn import Program

from kautopsy.kernel import tasks
from kautopsy.kernel.census import Brief
from kautopsy.kernel.cpus import Cpu
from kautopsy.kernel.memory import _agreed
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.finding import Finding, Severity
from kautopsy.model.machine import Consumer, ConsumerKind, MemoryUse
from kautopsy.triage.detectors import lockup, out_of_memory
from kautopsy.triage.scene import Scene
from kautopsy.triage.verdict import weigh

S = 1_000_000_000
NOW = 1000 * S


def brief(arrival: int | None, ran: int | None) -> Brief:
    values = dict.fromkeys(Brief._fields) | {"arrival": arrival, "ran": ran}
    return Brief(**values)


@pytest.mark.parametrize(
    ("arrival", "ran", "asleep"),
    [
        (990 * S, 991 * S, 9 * S),
        (990 * S, 2 * S, 10 * S),  # either word is lost: the sleep gets no longer
        (2 * S, 991 * S, 9 * S),
        (0, 991 * S, 9 * S),
        (990 * S, 0, 10 * S),
        (0, 0, 0),  # a page of zeros
        (None, None, 0),
        (2000 * S, 991 * S, 0),
    ],
)
def test_a_sleep_is_as_long_as_both_its_witnesses_say(
    arrival: int | None, ran: int | None, asleep: int
) -> None:
    assert brief(arrival, ran).asleep(NOW) == asleep


@pytest.mark.parametrize(
    ("clocks", "keeper", "now"),
    [
        ((NOW, NOW - S), NOW, NOW),
        ((NOW, 1 << 62), NOW + S, NOW),
        ((NOW, NOW - 3 * S, 1 << 62, 1 << 61), NOW, NOW),
        ((NOW + 90 * S, NOW), NOW + 89 * S, NOW + 90 * S),  # all others idle for long
        ((1 << 62, (1 << 62) - S), NOW, 1 << 62),  # counters that ran on over a reboot
        ((NOW,), 0, NOW),
    ],
)
def test_a_clock_far_ahead_of_all_others_is_lost(
    monkeypatch: pytest.MonkeyPatch, clocks: tuple[int, ...], keeper: int, now: int
) -> None:
    monkeypatch.setattr(tasks, "for_each_possible_cpu", lambda program: range(len(clocks)))
    monkeypatch.setattr(tasks, "cpu_rq", lambda program, cpu: SimpleNamespace(clock=clocks[cpu]))
    monkeypatch.setattr(tasks, "ktime_get_coarse_ns", lambda program: keeper)
    assert tasks.now(cast(Program, None)) == now


CPU = Cpu(
    cpu=1, online=True, pid=7, comm="loop", task=1, runnable=2, context="task", function="spin",
    interrupts=True, silent=0, dead=0, running=30 * S, used=30 * S, tick_hangs=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockup, "storm_on", lambda program, cpu: None)


def locked(cpu: Cpu, *log: str) -> list[tuple[Kind, float]]:
    scene = SimpleNamespace(
        program=None,
        log_lines=log,
        spins=(),
        cpus=(cpu,),
        cpu_frames=lambda cpu: (),
        blame=lambda task: None,
    )
    return [(one.kind, one.confidence) for one in lockup.detect.detect(cast(Scene, scene))]


def changed(**members: object) -> Cpu:
    return msgspec.structs.replace(CPU, **members)


def test_a_task_that_has_its_cpu_for_long_has_used_it() -> None:
    assert [kind for kind, _ in locked(CPU)] == [Kind.SOFT_LOCKUP]
    assert locked(changed(used=S)) == []
    # In an interrupt nobody is charged; and the watchdog's word is another witness.
    assert locked(changed(used=0, context="softirq"))
    assert locked(changed(used=0), "BUG: soft lockup - CPU#1 stuck for 22s! [loop:7]")


def test_a_cpu_that_takes_no_interrupt_has_two_clocks_that_say_so() -> None:
    quiet = changed(running=S, used=S, interrupts=False)
    assert locked(msgspec.structs.replace(quiet, silent=90 * S)) == []
    assert [k for k, _ in locked(msgspec.structs.replace(quiet, silent=90 * S, dead=80 * S))] == [
        Kind.HARD_LOCKUP
    ]
    said = locked(quiet, "Watchdog detected hard LOCKUP on cpu 1")
    assert said == [(Kind.HARD_LOCKUP, 0.95)]


def test_a_counter_that_its_parts_do_not_bear_out_is_lost() -> None:
    assert _agreed(100_000, 100_000) == 100_000
    assert _agreed(100_000, 99_000) == 100_000
    for whole, parts in ((0, 100_000), (100_000, 0), (1 << 60, 100_000)):
        with pytest.raises(ValueError, match="disagree"):
            _agreed(whole, parts)


def test_nobody_is_called_an_eater_of_more_than_there_is() -> None:
    lost = Unreadable("its counters disagree")
    whole: dict[str, object] = dict.fromkeys(MemoryUse.__struct_fields__, lost)
    process = Consumer(kind=ConsumerKind.PROCESS, name="flipped", bytes=1 << 45, pid=9)
    whole |= {"total": 1 << 30, "free": 1 << 20, "anon": 900 << 20, "file": 1 << 20}
    whole |= {"shmem": 1 << 20, "largest": (process,), "vmalloc": 1 << 45}
    scene = SimpleNamespace(
        log_lines=("Out of memory: Killed process 3 (x)",),
        memory=MemoryUse(**whole),  # type: ignore[arg-type]
        crash=SimpleNamespace(trigger=Trigger.OUT_OF_MEMORY, task=None),
    )
    [finding] = out_of_memory.detect.detect(cast(Scene, scene))
    assert "flipped" not in finding.title and "vmalloc" not in finding.title


def test_a_grave_suspicion_is_held_against_a_machines_health() -> None:
    asked = Finding(
        kind=Kind.OPERATOR_SYSRQ, title="", explanation="", confidence=0.99, severity=Severity.INFO
    )
    broken = Finding(
        kind=Kind.STACK_OVERFLOW, title="", explanation="", confidence=0.45, severity=Severity.FATAL
    )
    assert weigh((asked,)).confidence == 0.99
    assert weigh((broken, asked)).confidence == 0.55
