"""What panic() was told, in the kernel's own words → what was reported, and by whom."""

from __future__ import annotations

import pytest

from kautopsy.model.crash import Frame, Kind, Trigger
from kautopsy.oops.crashes import read_text
from kautopsy.triage.reported import asked_for_by_sysrq, classify


@pytest.mark.parametrize(
    ("message", "kind", "trigger"),
    [
        ("sysrq triggered crash", Kind.OPERATOR_SYSRQ, Trigger.SYSRQ),
        ("softlockup: hung tasks", Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP),
        ("Hard LOCKUP", Kind.HARD_LOCKUP, Trigger.HARD_LOCKUP),
        ("hung_task: blocked tasks", Kind.HUNG_TASK, Trigger.HUNG_TASK),
        (
            "Out of memory: compulsory panic_on_oom is enabled",
            Kind.OUT_OF_MEMORY,
            Trigger.OUT_OF_MEMORY,
        ),
        ("System is deadlocked on memory", Kind.OUT_OF_MEMORY, Trigger.OUT_OF_MEMORY),
        ("RCU Stall", Kind.RCU_STALL, Trigger.PANIC),
        ("NMI: Not continuing", Kind.OPERATOR_NMI, Trigger.NMI),
        ("NMI IOCK error: Not continuing", Kind.HARDWARE_NMI, Trigger.NMI),
        (
            "An NMI occurred. Depending on your system the reason for the NMI is logged in any one "
            "of the following resources:",
            Kind.HARDWARE_NMI,
            Trigger.NMI,
        ),
        ("Fatal machine check", Kind.MACHINE_CHECK, Trigger.MACHINE_CHECK),
        ("Fatal hardware error!", Kind.MACHINE_CHECK, Trigger.MACHINE_CHECK),
        ("Attempted to kill init! exitcode=0x00000009", Kind.INIT_DIED, Trigger.PANIC),
        (
            "VFS: Unable to mount root fs on unknown-block(0,0)",
            Kind.ROOT_MOUNT_FAILURE,
            Trigger.PANIC,
        ),
        ("EXT4-fs (device vda1): panic forced after error", Kind.FILESYSTEM_PANIC, Trigger.PANIC),
        ("workqueue: 2 stalled worker pools", Kind.WORKQUEUE_STALL, Trigger.WATCHDOG),
        ("NMI: PCI system error (SERR)", Kind.HARDWARE_NMI, Trigger.NMI),
        ("cluster: no heartbeat, fencing this node", Kind.PANIC, Trigger.PANIC),
    ],
)
def test_panic(message: str, kind: Kind, trigger: Trigger) -> None:
    assert classify(message, ()) == (kind, trigger)


def test_the_oops_before_a_fatal_exception_says_what_it_was() -> None:
    lines = (
        "BUG: kernel NULL pointer dereference, address: 0000000000000018",
        "RIP: 0010:widget_read+0x12/0x40",
        "Call Trace:",
        " widget_ioctl+0x12/0x40",
        "Kernel panic - not syncing: Fatal exception",
    )
    told = tuple(read_text("\n".join(lines)))
    assert classify("Fatal exception", told) == (Kind.NULL_DEREFERENCE, Trigger.OOPS)


def test_no_message_is_unknown_and_nobody_s() -> None:
    assert classify(None, ()) == (Kind.UNKNOWN, None)


def test_sysrq_is_known_by_its_function_on_old_kernels_too() -> None:
    frames = (Frame(function="page_fault"), Frame(function="sysrq_handle_crash"))
    assert asked_for_by_sysrq(frames)
    assert not asked_for_by_sysrq(frames[:1])
