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


def test_a_module_s_function_is_its_own_whatever_it_is_called() -> None:
    named_like_helpers = (
        "list_walk_drv",
        "hung_task_drv",
        "mutex_deadlock_drv",
        "watchdog_check_drv",
    )
    for name in named_like_helpers:
        blame = culprit(frames(name, "drv_ioctl"))
        assert blame is not None
        assert blame.function == name
    assert called(culprit(frames("list_del", "drv_ioctl"))) == "drv_ioctl() [drv]"


def test_a_module_that_only_reports_is_passed_over() -> None:
    pretimeout = Frame(function="hpwdt_pretimeout", module="hpwdt")
    assert called(culprit((pretimeout, *frames("drv_poll")))) == "drv_poll() [drv]"
