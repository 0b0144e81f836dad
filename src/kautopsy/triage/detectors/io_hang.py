"""I/O hang: requests that a disk never completes, and the tasks that wait for them.

blk-mq knows every request a driver was given and has not ended, with the time it began
(kernel/block.py). A request of many seconds is a disk, a path to it or its driver that does not
answer. Tasks that wait for it sleep in ``io_schedule()`` and carry ``task_struct.in_iowait``.
Direct I/O never trips khungtaskd (``blk_io_schedule`` wakes every half timeout), so the requests'
age counts, not the tasks'.

Where a device has no blk-mq (bio-based drivers such as dm and md, network file systems) only the
waiting tasks tell, and less surely: the bio, page or buffer that a task waits for leads to its disk
(kernel/waited_disks.py), and that to the disks below it, one of which may be suspended
(kernel/stacked_disks.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from kautopsy.kernel.block import BlockRequest, block_requests
from kautopsy.kernel.waited_disks import Disk, disk_waited_for, shut_queue
from kautopsy.kernel.waits import Sleeper, Wait
from kautopsy.model.crash import Kind
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import Need, detector
from kautopsy.triage.detectors.hung_task import grown, reported
from kautopsy.triage.numbers import several
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
    long = [sleeper for sleeper in waiting if sleeper.age >= LONE]
    asked = sorted(long or waiting, key=lambda one: -one.age)[:_MAX_ASKED]
    found = [disk_waited_for(scene.locks.stacks, one) for one in asked]
    disks = tuple(dict.fromkeys(disk for disk in found if disk is not None))
    victims = _victims(scene, asked, found, by_device)
    for device, requests in by_device.items():
        above = tuple(d for d in disks if any(one.name == device for one in d.below))
        behind = [one for one, other in victims.items() if other == device]
        yield _device(scene, device, requests, waiting, above, behind, victims.get(device))
    if long and not by_device:
        yield _no_device(scene, long, disks)
    yield from _shut_queues(scene)


def _victims(
    scene: Scene,
    asked: list[Sleeper],
    found: list[Disk | None],
    by_device: dict[str, list[BlockRequest]],
) -> dict[str, str]:
    """Devices that do not answer because their driver itself waits for another one that does not.

    As loop does, whose worker reads a file: code of its module is on the stack of who waits.
    """
    victims: dict[str, str] = {}
    for sleeper, disk in zip(asked, found, strict=True):
        if disk is None or disk.name not in by_device:
            continue
        modules = {frame.module for frame in scene.frames(sleeper.address) if frame.module}
        for device, requests in by_device.items():
            if device != disk.name and requests[0].module in modules:
                victims[device] = disk.name
    return victims


def _roles(waiting: list[Sleeper]) -> tuple[TaskRole, ...]:
    ordered = sorted(waiting, key=lambda sleeper: -sleeper.age)[:_MAX_TASKS]
    return tuple(TaskRole(pid=one.pid, comm=one.comm, role="waiter") for one in ordered)


def _device(
    scene: Scene,
    device: str,
    requests: list[BlockRequest],
    waiting: list[Sleeper],
    above: tuple[Disk, ...],
    behind: list[str],
    waits_for: str | None,
) -> Finding:
    ages = [request.age for request in requests if isinstance(request.age, int)]
    oldest = max(ages)
    first = next(request for request in requests if request.age == oldest)
    writes = sum(request.write is True for request in requests)
    confidence = 0.92 if oldest >= VERY_OLD else 0.8 if oldest >= 2 * OLD else 0.65
    if len(requests) == 1 and all(one.age < OLD for one in waiting):
        # One request that nobody misses: its age is one word, which the dump may have lost.
        confidence = 0.45
    elif not waiting:
        confidence -= 0.2
    elif {one.pid for one in waiting} & reported(scene).keys():
        confidence = max(confidence, 0.88)
    if waits_for is not None:
        confidence -= 0.2  # so that the other comes first
    driver = None
    if first.driver or first.module:
        driver = Culprit(function=first.driver or None, module=first.module or None)
    of = f", module {first.module}," if first.module else ""
    what = f"{writes} of them writes" if len(requests) > 1 else "a write" if writes else "a read"
    return Finding(
        kind=Kind.IO_HANG,
        title=(
            f"{device} does not answer: {several(len(requests), 'request')}, oldest "
            f"{oldest / SECOND:.0f} s"
        ),
        explanation=(
            f"{several(len(requests), 'request')} to {device} ({what}) "
            f"{'was' if len(requests) == 1 else 'were'} given to its driver{of} and never "
            f"completed, the oldest {oldest / SECOND:.0f} s ago. "
            f"{several(len(waiting), 'task', 'wait')} for I/O. The disk, the path to it or its "
            "driver does not answer."
            + (f" Its driver waits for {waits_for} itself." if waits_for is not None else "")
            + (f" {', '.join(behind)} hangs because of it." if behind else "")
            + (f" {_names(above)}, which tasks wait for, lies on it." if above else "")
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
            *(evidence for one in above[:2] for evidence in _layers(one)),
        ),
        next=(
            f"Look at the device behind {device}: cable, path, array, hypervisor, its own log.",
            "log | grep -i -e timeout -e reset -e error",
        ),
        key=f"io-hang:{first.module or first.driver or 'disk'}",
    )


def _no_device(scene: Scene, waiting: list[Sleeper], disks: tuple[Disk, ...]) -> Finding:
    longest = max(waiting, key=lambda sleeper: sleeper.age)
    where = culprit(scene.frames(longest.address))
    disk = disks[0] if disks else None
    driver = where
    suspended: Disk | None = None
    # As sure as that the tasks hang, and no less where the disk is known.
    confidence = grown(longest.age) - 0.05
    of = "No request of a blk-mq disk explains it: "
    if disk is None:
        of += "the device is bio-based or a network's, or its queue is not in the dump."
    else:
        lies = f" {disk.name} lies on {_names(disk.below)}." if disk.below else ""
        suspended = next((one for one in (disk, *disk.below) if one.suspended), None)
        bottom = (disk, *disk.below)[-1] if suspended is None else suspended
        if bottom.function:
            driver = Culprit(function=bottom.function, module=bottom.module)
            confidence += 0.1
        if suspended is not None:
            confidence = 0.88
            of = f"{suspended.name} is suspended: it holds back all I/O until it is resumed.{lies}"
        elif bottom.function:
            of += (
                f"{bottom.name} is bio-based, and its driver ({called(driver)}) keeps what it was "
                f"given.{lies}"
            )
        elif bottom.stopped:
            confidence += 0.15
            of = (
                f"The queue of {bottom.name} is stopped (quiesced): its driver is given nothing "
                f"until it is started again, as during a reset or a reconfiguration.{lies}"
            )
        else:
            of += f"{bottom.name} is a disk with requests, but none is in flight.{lies}"
        if not bottom.function and bottom.takes[0]:
            driver = Culprit(function=bottom.takes[0], module=bottom.takes[1] or None)
    return Finding(
        kind=Kind.IO_HANG,
        title=f"{several(len(waiting), 'task', 'wait')} for I/O"
        + (f" of {disk.name}" if disk is not None else "")
        + f", the longest {longest.age / SECOND:.0f} s",
        explanation=(
            f"{longest.comm} (pid {longest.pid}) has slept in io_schedule() for "
            f"{longest.age / SECOND:.0f} s in {called(where)}. {of}"
        ),
        confidence=round(confidence, 2),
        severity=Severity.FATAL,
        culprit=driver,
        tasks=_roles(waiting),
        evidence=(
            Evidence(
                what="longest wait",
                value=f"{longest.comm} (pid {longest.pid}), {longest.age / SECOND:.0f} s",
                show=f"bt {longest.pid}",
            ),
            *(evidence for one in disks for evidence in _layers(one)),
        ),
        next=(_advice(suspended or disk, longest),),
        key=f"io-hang:{where.function if where else '?'}",
    )


def _shut_queues(scene: Scene) -> Iterator[Finding]:
    """One finding for each disk that lets no I/O in, if somebody has waited for long."""
    at: dict[int, list[Wait]] = {}
    for wait in scene.locks.events:
        if wait.lock is not None and wait.age >= LONE:
            at.setdefault(wait.lock, []).append(wait)
    for queue, waits in at.items():
        shut = shut_queue(scene.program, queue)
        if shut is None or not shut[1]:
            continue
        disk, depth = shut
        name = disk.name
        longest = max(waits, key=lambda wait: wait.age)
        where = culprit(scene.frames(longest.task))
        driver = where
        if disk.takes[0]:
            driver = Culprit(function=disk.takes[0], module=disk.takes[1] or None)
        seconds = f"{longest.age / SECOND:.0f} s"
        yield Finding(
            kind=Kind.IO_HANG,
            title=(
                f"the queue of {name} is frozen: {several(len(waits), 'task', 'wait')} to enter it"
            ),
            explanation=(
                f"The request queue of {name} is frozen ({depth} time(s)), as it is while its "
                "settings change or its driver resets or removes it. Whoever froze it has not let "
                f"go: new I/O to {name} waits. {longest.comm} (pid {longest.pid}) has waited for "
                f"{seconds}, in {called(where)}."
            ),
            confidence=round(grown(longest.age) + 0.05, 2),
            severity=Severity.FATAL,
            culprit=driver,
            tasks=tuple(
                TaskRole(pid=one.pid, comm=one.comm, role="waiter")
                for one in sorted(waits, key=lambda one: -one.age)[:_MAX_TASKS]
            ),
            evidence=(
                Evidence(
                    what=f"queue of {name}",
                    value=f"frozen {depth} time(s): mq_freeze_depth",
                    show="dev -d",
                ),
                Evidence(
                    what="longest wait",
                    value=f"{longest.comm} (pid {longest.pid}), {seconds}",
                    show=f"bt {longest.pid}",
                ),
            ),
            next=(
                "Look for a task in blk_mq_freeze_queue_wait(), or for a reset or removal of "
                f"{name} that ended early: foreach bt | grep -B 20 freeze_queue",
            ),
            key=f"io-hang:frozen-queue@{where.function if where else '?'}",
        )


def _advice(disk: Disk | None, longest: Sleeper) -> str:
    if disk is not None and disk.suspended:
        return (
            f"Find out who suspended {disk.name} and did not resume it: dmsetup, LVM, a snapshot "
            "or a backup that died."
        )
    if disk is not None and disk.stopped:
        return (
            f"Look for a reset of {disk.name} in the log that began and did not end: who stopped "
            "the queue must start it."
        )
    return f"bt -l {longest.pid}: which file system and device is it about?"


def _names(disks: tuple[Disk, ...]) -> str:
    return ", ".join(disk.name for disk in disks)


def _layers(disk: Disk) -> Iterator[Evidence]:
    """The disk that is waited for, and those below it."""
    for what, one in (("waited for", disk), *(("below it", one) for one in disk.below)):
        taken = f", bios taken by {one.function}()" if one.function else ""
        yield Evidence(
            what=what,
            value=one.name + taken + (", suspended" if one.suspended else ""),
            show="dev -d",
        )
