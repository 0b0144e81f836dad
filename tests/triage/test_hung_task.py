"""Who goes on and who does not, among those that others wait for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from kautopsy.kernel.debts import VFORK
from kautopsy.kernel.locks import Edge, Owner
from kautopsy.kernel.waits import LockKind, Sleeper, Wait
from kautopsy.model.crash import Frame
from kautopsy.triage.detectors import hung_task
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
_WAITER, _HOLDER = 0xFFFF_8880_0123_4000, 0xFFFF_8880_0123_8000


def sleeper(address: int, comm: str, state: str, age: int) -> Sleeper:
    made = SimpleNamespace(
        address=address,
        pid=address >> 12 & 0xFF,
        comm=comm,
        state=state,
        age=age,
        words=(),
        task=SimpleNamespace(flags=0),
    )
    return cast(Sleeper, made)


def scene(waited: int, slept: int, kind: LockKind, how: str) -> Scene:
    """A task has waited for ``waited`` ns for another, which has slept for ``slept``."""
    people = {
        _WAITER: sleeper(_WAITER, "reader", "D", waited),
        _HOLDER: sleeper(_HOLDER, "writer", "S", slept),
    }
    wait = Wait(
        _WAITER, 0x34, "reader", "D", kind, 0xFFFF_8880_0777_0000, "", (_WAITER,), "", waited
    )
    graph = SimpleNamespace(
        edges=(Edge(wait, Owner(_HOLDER, 1.0, how)),),
        event_edges=(),
        waits=(wait,),
        stacks=SimpleNamespace(sleepers=people, running={}, names=lambda word: ""),
        works_on=lambda task, lock: True,
        name_of=lambda lock: "stats",
        dead_owner=lambda wait: None,
    )
    site = Frame(function="stats_read", module="nic")
    made = SimpleNamespace(
        locks=graph,
        log_lines=(),
        cpus=(),
        frames=lambda task: (site,),
        blame=lambda task: None,
        holder=lambda task, waiter: None,
    )
    return cast(Scene, made)


@pytest.mark.parametrize(
    ("waited", "slept", "sure"),
    [
        (3, 4, True),  # it sleeps since before: it has held the lock all the time
        (3, 1, False),  # it has run since: a queue that moves looks like that
        (15, 1, True),  # but not for so long
    ],
)
def test_a_holder_who_goes_on(waited: int, slept: int, sure: bool) -> None:
    made = scene(waited * SECOND, slept * SECOND, LockKind.MUTEX, "mutex.owner")
    [finding] = hung_task.detect.detect(made)
    assert (finding.confidence >= 0.5) == sure


@pytest.mark.parametrize(("module", "told"), [("fuse", True), (None, True), ("nic", False)])
def test_who_outside_owes_an_answer(module: str | None, told: bool) -> None:
    made = scene(15 * SECOND, 15 * SECOND, LockKind.RWSEM, "rw_semaphore.owner")
    frames = (Frame(function="request_wait_answer", module=module),)
    made.__dict__["frames"] = lambda task: frames
    [finding] = hung_task.detect.detect(made)
    assert ("user space" in finding.explanation) == told
    assert finding.evidence[0].show == "struct rw_semaphore 0xffff888007770000"


def test_a_parent_that_waits_for_its_vfork_child_does_not_hang() -> None:
    made = scene(100 * SECOND, 100 * SECOND, LockKind.COMPLETION, VFORK)
    assert list(hung_task.detect.detect(made)) == []
