"""Interrupts that come without end, or do not end: whose fault that is, on made-up CPUs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from drgn import Architecture, Platform, Program, StackFrame

from kautopsy.kernel.cpus import Cpu, stopped_at
from kautopsy.kernel.storms import Storm
from kautopsy.model.crash import Frame, Kind
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.triage.detectors import lockup
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000


def cpu(pid: int, context: str, *, silent: int, running: int, tick_hangs: bool = False) -> Cpu:
    return Cpu(
        cpu=1,
        online=True,
        pid=pid,
        comm="swapper/1" if not pid else "dd",
        task=0xFFFF_8880_0123_4000,
        runnable=1,
        context=context,
        function="",
        interrupts=context != "irq",
        silent=silent,
        dead=silent,
        running=running,
        used=running,
        tick_hangs=tick_hangs,
    )


def scene(monkeypatch: pytest.MonkeyPatch, one: Cpu, storm: Storm | None, *functions: str) -> Scene:
    made = Scene(
        Program(Platform(Architecture.X86_64)),
        DumpFile(path="vmcore", format=DumpFormat.ELF, complete=False),
        Symbols(source=SymbolSource.NONE),
    )
    made.__dict__.update(cpus=(one,), spins=(), log_lines=())
    monkeypatch.setattr(lockup, "storm_on", lambda program, cpu: storm)
    frames = tuple(Frame(function=name) for name in functions)
    monkeypatch.setattr(Scene, "cpu_frames", lambda self, cpu: frames)
    return made


def test_what_a_storm_interrupts_is_a_victim(monkeypatch: pytest.MonkeyPatch) -> None:
    works = Storm("irq works", 3_000_000, 100_000, Frame(function="port_poll", module="nic"))
    busy = cpu(77, "task", silent=14 * SECOND, running=14 * SECOND)
    [finding] = lockup.detect.detect(scene(monkeypatch, busy, works, "ext4_readdir"))
    assert finding.kind is Kind.HARD_LOCKUP
    assert finding.culprit is not None
    assert (finding.culprit.function, finding.culprit.module) == ("port_poll", "nic")
    assert [(task.pid, task.role) for task in finding.tasks] == [(77, "victim")]


def test_an_idle_cpu_can_drown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Storm("timer interrupts", 400_000, 19_000, Frame(function="beat", module="nic"))
    idle = cpu(0, "idle", silent=0, running=0)
    [finding] = lockup.detect.detect(scene(monkeypatch, idle, timers, "default_idle"))
    assert finding.kind is Kind.SOFT_LOCKUP
    assert finding.culprit is not None
    assert finding.culprit.function == "beat"
    assert not list(lockup.detect.detect(scene(monkeypatch, idle, None, "default_idle")))


def test_a_timer_interrupt_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Storm("", 900, 40, Frame(function="beat", module="nic"))
    taken = cpu(0, "irq", silent=0, running=14 * SECOND, tick_hangs=True)
    way = ("rb_next", "timerqueue_del", "__hrtimer_run_queues", "hrtimer_interrupt")
    [finding] = lockup.detect.detect(scene(monkeypatch, taken, one, *way))
    assert finding.kind is Kind.HARD_LOCKUP
    assert finding.culprit is not None
    assert finding.culprit.function == "beat"


def stack(*functions: str) -> list[StackFrame]:
    """Frames, innermost first; the one after "|" was interrupted."""
    frames = []
    interrupted = False
    for name in functions:
        if name == "|":
            interrupted = True
            continue
        frames.append(cast(StackFrame, SimpleNamespace(name=name, interrupted=interrupted)))
        interrupted = False
    return frames


def test_a_tick_is_passed_over_unless_it_hangs() -> None:
    nmi = ("crash_nmi_callback", "default_do_nmi", "exc_nmi", "end_repeat_nmi", "|")
    tick = ("beat", "__hrtimer_run_queues", "hrtimer_interrupt", "asm_sysvec_apic_timer", "|")
    frames = stack(*nmi, *tick, "ring_poll", "kthread")
    assert frames[stopped_at(frames)].name == "ring_poll"
    assert frames[stopped_at(frames, tick_hangs=True)].name == "beat"
