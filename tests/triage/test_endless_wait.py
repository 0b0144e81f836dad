"""Loops that complain, on made-up logs and stacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from drgn import Architecture, Platform, Program

from kautopsy.kernel.waits import Sleeper
from kautopsy.model.crash import Frame
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.triage.detectors import endless_wait
from kautopsy.triage.scene import Scene

_TASK = 0xFFFF_8880_0123_4000
# net/core/dev.c, as 5.10 and later print it; the second is what printk gives 10 s later.
_WAITS = "unregister_netdevice: waiting for veth7 to become free. Usage count = 2"


def scene(monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], *stack: str) -> Scene:
    made = Scene(
        Program(Platform(Architecture.X86_64)),
        DumpFile(path="vmcore", format=DumpFormat.ELF, complete=False),
        Symbols(source=SymbolSource.NONE),
    )
    words = tuple(range(len(stack)))
    sleeper = cast(Sleeper, SimpleNamespace(address=_TASK, state="D", words=words))
    stacks = SimpleNamespace(sleepers={_TASK: sleeper}, names=lambda word: stack[word])
    frames = tuple(Frame(function=name, module=None) for name in stack)
    monkeypatch.setattr(endless_wait, "who", lambda stacks, task: (77, "ip"))
    made.__dict__["log_lines"] = lines
    made.__dict__["locks"] = SimpleNamespace(stacks=stacks)
    made.__dict__["cpus"] = ()
    made._frames[_TASK] = frames
    return made


def test_a_complaint_counts_while_a_task_is_in_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ("schedule_timeout", "msleep", "netdev_run_todo", "rtnl_unlock", "tunnel_remove")
    [finding] = endless_wait.detect.detect(scene(monkeypatch, (_WAITS, _WAITS), *stack))
    assert finding.culprit is not None
    assert finding.culprit.function == "tunnel_remove"
    assert "veth7" in finding.explanation
    assert [(one.pid, one.comm) for one in finding.tasks] == [(77, "ip")]
    [once] = endless_wait.detect.detect(scene(monkeypatch, (_WAITS,), *stack))
    assert 0.5 <= once.confidence < finding.confidence


def test_one_that_is_over_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    over = scene(monkeypatch, (_WAITS, _WAITS), "schedule", "do_wait")
    assert list(endless_wait.detect.detect(over)) == []
    silent = scene(monkeypatch, ("usb 1-1: new device",), "msleep", "netdev_run_todo")
    assert list(endless_wait.detect.detect(silent)) == []


def test_a_tasklet_that_is_disabled_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ("schedule", "tasklet_kill", "port_remove", "kthread")
    made = scene(monkeypatch, (), *stack)
    assert list(endless_wait.detect.detect(made)) == []
    function = Frame(function="port_bh", module="nic", offset=0)
    monkeypatch.setattr(endless_wait, "_disabled_tasklet", lambda scene, task: (1, function))
    [finding] = endless_wait.detect.detect(made)
    assert finding.culprit is not None
    assert finding.culprit.function == "port_remove"
    assert "port_bh() [nic]" in finding.explanation
