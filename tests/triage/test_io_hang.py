"""Disks that let nothing in, and disks that hang because of others, on made-up queues."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from drgn import Architecture, Platform, Program

from kautopsy.kernel.block import BlockRequest
from kautopsy.kernel.waited_disks import Disk
from kautopsy.kernel.waits import LockKind, Sleeper, Wait
from kautopsy.model.crash import Frame, Kind
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.triage.detectors import io_hang
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
_TASK, _WORKER = 0xFFFF_8880_0123_4000, 0xFFFF_8880_0123_8000
_QUEUE = 0xFFFF_8880_0777_0338


def sleeper(address: int, comm: str) -> Sleeper:
    task = SimpleNamespace(in_iowait=1)
    made = SimpleNamespace(address=address, pid=7, comm=comm, state="D", task=task, age=13 * SECOND)
    return cast(Sleeper, made)


def request(device: str, driver: str, module: str) -> BlockRequest:
    return BlockRequest(
        device=device,
        address=0xFFFF_8880_0555_0000,
        write=False,
        sector=8,
        size=4096,
        state="in flight",
        age=13 * SECOND,
        driver=driver,
        module=module,
    )


def scene(
    monkeypatch: pytest.MonkeyPatch,
    people: tuple[Sleeper, ...],
    requests: tuple[BlockRequest, ...] = (),
    events: tuple[Wait, ...] = (),
) -> Scene:
    made = Scene(
        Program(Platform(Architecture.X86_64)),
        DumpFile(path="vmcore", format=DumpFormat.ELF, complete=False),
        Symbols(source=SymbolSource.NONE),
    )
    stacks = SimpleNamespace(sleepers={one.address: one for one in people})
    made.__dict__["locks"] = SimpleNamespace(stacks=stacks, events=events)
    made.__dict__["log_lines"] = ()
    monkeypatch.setattr(made, "rows", lambda table, what: requests)
    return made


def test_the_disk_behind_a_loop_device_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, worker = sleeper(_TASK, "dd"), sleeper(_WORKER, "kworker/u8:0")
    made = scene(
        monkeypatch,
        (reader, worker),
        (request("loop0", "loop_queue_rq", "loop"), request("sdb", "queue_rq", "hba")),
    )
    made._frames[_TASK] = (Frame(function="filemap_read"), Frame(function="ksys_read"))
    made._frames[_WORKER] = (
        Frame(function="filemap_read"),
        Frame(function="loop_process_work", module="loop"),
    )
    disks = {_TASK: Disk("loop0", "", None), _WORKER: Disk("sdb", "", None)}
    monkeypatch.setattr(io_hang, "disk_waited_for", lambda stacks, one: disks[one.address])
    loop, disk = io_hang.detect.detect(made)
    assert disk.confidence > loop.confidence
    assert "loop0 hangs because of it" in disk.explanation
    assert "waits for sdb itself" in loop.explanation


@pytest.mark.parametrize("depth", [0, 1])
def test_a_frozen_queue(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    wait = Wait(
        _TASK,
        77,
        "dd",
        "D",
        LockKind.WAIT_QUEUE,
        _QUEUE,
        "",
        (_TASK,),
        "blk_queue_enter",
        14 * SECOND,
    )
    made = scene(monkeypatch, (), events=(wait,))
    made._frames[_TASK] = (Frame(function="__bio_queue_enter"), Frame(function="ksys_read"))
    disk = Disk("sdb", "", None, takes=("queue_rq", "hba"))
    monkeypatch.setattr(io_hang, "shut_queue", lambda program, queue: (disk, depth))
    found = list(io_hang.detect.detect(made))
    assert len(found) == depth  # one that is merely slow is not frozen
    for finding in found:
        assert finding.kind is Kind.IO_HANG
        assert finding.culprit is not None
        assert (finding.culprit.function, finding.culprit.module) == ("queue_rq", "hba")
        assert "sdb" in finding.title
        assert [task.comm for task in finding.tasks] == ["dd"]
