"""I/O hang: requests that a disk never completes, and the tasks that wait for them.

blk-mq knows every request a driver was given and has not ended, with the time it began
(kernel/block.py). A request of many seconds is a disk, a path to it or its driver that does not
answer. Tasks that wait for it sleep in ``io_schedule()`` and carry ``task_struct.in_iowait``.
Direct I/O never trips khungtaskd (``blk_io_schedule`` wakes every half timeout), so the requests'
age counts, not the tasks'.

Where a device has no blk-mq (bio-based drivers such as dm and md, network file systems) only the
waiting tasks tell, and less surely: the bio, page or buffer that a task waits for leads to its disk
(kernel/waited_disks.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.block import BlockRequest, block_requests
from kautopsy.kernel.waited_disks import disk_waited_for
from kautopsy.kernel.waits import Sleeper
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.scene import Scene

SECOND = 1_000_000_000
OLD = 4 * SECOND
"""Disks answer in milliseconds, slow ones under load in a second or two."""
VERY_OLD = 30 * SECOND
LONE = 10 * SECOND
"""A wait for I/O without a request to show for it must be longer to count."""
_MAX_TASKS = 12
_MAX_ASKED = 40
"""Tasks whose stacks are searched for the disk they wait for."""


@detector(Need.TYPES)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding a device, or one for waits without a device."""
    waiting = [
        sleeper
        for sleeper in scene.locks.stacks.sleepers.values()
        if sleeper.state == "D" and sleeper.task.in_iowait
    ]
    by_device: dict[str, list[BlockRequest]] = {}
    for request in scene.rows(block_requests, "block requests"):
        if isinstance(request.age, int) and request.age >= OLD and request.state == "in flight":
            by_device.setdefault(request.device, []).append(request)
    for device, requests in by_device.items():
        yield _device(scene, device, requests, waiting)
    long = [sleeper for sleeper in waiting if sleeper.age >= LONE]
    if long and not by_device:
        yield _no_device(scene, long)


def _roles(waiting: list[Sleeper]) -> tuple[TaskRole, ...]:
    ordered = sorted(waiting, key=lambda sleeper: -sleeper.age)[:_MAX_TASKS]
    return tuple(TaskRole(pid=one.pid, comm=one.comm, role="waiter") for one in ordered)


def _device(
    scene: Scene, device: str, requests: list[BlockRequest], waiting: list[Sleeper]
) -> Finding:
    ages = [request.age for request in requests if isinstance(request.age, int)]
    oldest = max(ages)
    first = next(request for request in requests if request.age == oldest)
    writes = sum(request.write is True for request in requests)
    confidence = 0.92 if oldest >= VERY_OLD else 0.8 if oldest >= 2 * OLD else 0.65
    if not waiting:
        confidence -= 0.2
    driver = None
    if first.driver or first.module:
        driver = Culprit(function=first.driver or None, module=first.module or None)
    of = f" of module {first.module}" if first.module else ""
    return Finding(
        kind=Kind.IO_HANG,
        title=(
            f"{device} does not answer: {len(requests)} request(s), oldest {oldest / SECOND:.0f} s"
        ),
        explanation=(
            f"{len(requests)} request(s) to {device} ({writes} of them writes) were given to its "
            f"driver{of} and never completed, the oldest {oldest / SECOND:.0f} s ago. "
            f"{len(waiting)} task(s) sleep waiting for I/O. The disk, the path to it or its driver "
            "does not answer."
        ),
        confidence=round(confidence, 2),
        severity=Severity.FATAL,
        culprit=driver,
        tasks=_roles(waiting),
        evidence=(
            Evidence(
                what=f"oldest request of {device}",
                value=(
                    f"{'write' if first.write is True else 'read'} of {first.size} bytes at sector "
                    f"{first.sector}, in flight for {oldest / SECOND:.1f} s"
                ),
                show=f"struct request {first.address:#x}",
            ),
            Evidence(what="requests in flight", value=f"{device}: {len(requests)}", show="dev -d"),
            *(
                Evidence(
                    what=f"{one.comm} (pid {one.pid}) waits",
                    value=f"in {called(culprit(scene.frames(one.address)))}",
                    show=f"bt {one.pid}",
                )
                for one in waiting[:4]
            ),
        ),
        next=(
            f"Look at the device behind {device}: cable, path, array, hypervisor, its own log.",
            "log | grep -i -e timeout -e reset -e error",
        ),
        key=f"io-hang:{first.module or first.driver or 'disk'}",
    )


def _no_device(scene: Scene, waiting: list[Sleeper]) -> Finding:
    longest = max(waiting, key=lambda sleeper: sleeper.age)
    where = culprit(scene.frames(longest.address))
    found = [disk_waited_for(scene.locks.stacks, one) for one in waiting[:_MAX_ASKED]]
    disks = list(dict.fromkeys(disk for disk in found if disk is not None))
    disk = disks[0] if disks else None
    driver = where
    of = "No request of a blk-mq disk explains it: "
    if disk is None:
        of += "the device is bio-based or a network's, or its queue is not in the dump."
    elif disk.function:
        driver = Culprit(function=disk.function, module=disk.module)
        of += (
            f"{disk.name} is bio-based, and its driver ({called(driver)}) keeps what it was given."
        )
    else:
        of += f"{disk.name} is a disk with requests, but none is in flight."
    return Finding(
        kind=Kind.IO_HANG,
        title=f"{len(waiting)} task(s) wait for I/O"
        + (f" of {disk.name}" if disk is not None else "")
        + f", the longest {longest.age / SECOND:.0f} s",
        explanation=(
            f"{longest.comm} (pid {longest.pid}) has slept in io_schedule() for "
            f"{longest.age / SECOND:.0f} s in {called(where)}. {of}"
        ),
        confidence=round(
            (0.6 if longest.age >= VERY_OLD else 0.52) + (0.1 if disk is not None else 0), 2
        ),
        severity=Severity.FATAL,
        culprit=driver,
        tasks=_roles(waiting),
        evidence=(
            Evidence(
                what="longest wait",
                value=f"{longest.comm} (pid {longest.pid}), {longest.age / SECOND:.0f} s",
                show=f"bt {longest.pid}",
            ),
            *(
                Evidence(
                    what="waited for",
                    value=one.name + (f", bios taken by {one.function}()" if one.function else ""),
                    show="dev -d",
                )
                for one in disks
            ),
        ),
        next=(f"bt -l {longest.pid}: which file system and device is it about?",),
        key=f"io-hang:{where.function if where else '?'}",
    )
