"""Naming the function that did it: the first one that is not everybody's helper."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kautopsy.fingerprint.generic import is_generic
from kautopsy.kernel.tasks import plain
from kautopsy.model.crash import Frame
from kautopsy.model.finding import Culprit

# Ways into a lock or a sleep, by stem: what a waiter is in, never what it is about; and a few more
# that only ever do what their caller asked.
_HELPERS = (
    "__mutex_",
    "mutex_",
    "__ww_mutex_",
    "rwsem_",
    "down_",
    "__down",
    "___down",
    "rt_mutex_",
    "__rt_mutex_",
    "percpu_down_",
    "percpu_rwsem_wait",
    "__percpu_down_",
    "sb_start_",
    "__sb_start_write",
    "wait_for_completion",
    "__wait_for_common",
    "_raw_spin_",
    "_raw_read_",
    "_raw_write_",
    "native_queued_spin_",
    "queued_",
    "schedule_timeout",
    "msleep",
    "mempool_",
    "usleep_range",
    # SLUB's own bookkeeping (mm/slub.c): who freed is above it.
    "free_to_partial_list",
    "free_debug_processing",
    "alloc_debug_processing",
    "__slab_free",
    "__slab_err",
    "slab_",
    "object_err",
    "check_bytes_and_report",
    "check_object",
    "smp_call_function_",
    "csd_lock_wait",
    "destroy_workqueue",
)
# Of the functions that modules bring along these only report: drivers of watchdogs, assertions of
# file systems. Any other is somebody's own, whatever its name: a driver's list_walk() is not
# list_del().
_HELPERS_IN_MODULES = re.compile(
    r"hpwdt_\w+|ipmi_wdog_\w+|wdt_\w+|softdog_\w+|iTCO_wdt\w*|ghes_\w+|mce_\w+|kgdb_\w+"
    r"|assfail|assertfail|btrfs_assertfail|xfs_(assert|warn|alert)\w*|(libcfs|lbug)_\w+"
)


def guilty_frame(frames: Iterable[Frame]) -> Frame | None:
    """The innermost frame whose function serves a purpose of its own.

    Inline frames are passed over, so that a dump names the same function with and without
    debugging information; frames that merely happened to be on the stack are too.
    """
    for frame in frames:
        if frame.inline or not frame.reliable or not frame.function:
            continue
        name = plain(frame.function)
        if frame.module is not None:
            if _HELPERS_IN_MODULES.fullmatch(name) is None:
                return frame
        elif not is_generic(name) and not name.startswith(_HELPERS):
            return frame
    return None


def culprit(frames: Iterable[Frame]) -> Culprit | None:
    """:func:`guilty_frame` as a culprit."""
    frame = guilty_frame(frames)
    if frame is None or frame.function is None:
        return None
    return Culprit(
        function=plain(frame.function), module=frame.module, file=frame.file, line=frame.line
    )


def called(guilty: Culprit | None) -> str:
    """``function() [module]`` for a sentence."""
    if guilty is None or guilty.function is None:
        return "an unknown function"
    return f"{guilty.function}()" + (f" [{guilty.module}]" if guilty.module else "")
