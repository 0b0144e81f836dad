"""Naming the function that did it."""

from __future__ import annotations

from kautopsy.model.crash import Frame
from kautopsy.triage.culprit import called, culprit


def frames(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(function=name, module="drv" if "drv" in name else None) for name in names)


def test_locks_and_the_scheduler_are_nobody_s_fault() -> None:
    blame = culprit(
        frames("__schedule", "schedule", "__mutex_lock.constprop.0", "drv_ioctl", "vfs_ioctl")
    )
    assert called(blame) == "drv_ioctl() [drv]"


def test_inlined_functions_are_passed_over_so_that_debuginfo_changes_nothing() -> None:
    inlined = Frame(function="drv_helper", module="drv", inline=True)
    blame = culprit((inlined, *frames("drv_write")))
    assert blame is not None
    assert blame.function == "drv_write"


def test_guesses_are_passed_over() -> None:
    guess = Frame(function="drv_left_over", module="drv", reliable=False)
    assert called(culprit((guess, *frames("drv_write")))) == "drv_write() [drv]"


def test_nobody() -> None:
    assert called(culprit(frames("schedule"))) == "an unknown function"
