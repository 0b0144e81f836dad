"""The header of a report: what ``crash`` shows when it starts."""

from __future__ import annotations

import re

from drgn import Program
from drgn.helpers.linux.cpumask import num_online_cpus, num_present_cpus
from drgn.helpers.linux.mm import totalram_pages
from drgn.helpers.linux.panic import tainted
from drgn.helpers.linux.sched import loadavg
from drgn.helpers.linux.timekeeping import (
    ktime_get_boottime_seconds,
    ktime_get_coarse_boottime_ns,
    ktime_get_coarse_real_ns,
    ktime_get_real_seconds,
)

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.threads import count
from kautopsy.model.base import Unreadable
from kautopsy.model.report import System

# Most telling first. An oops with panic_on_oops, or one in interrupt context, enters crash_kexec
# before panic(): then there is no "Kernel panic" line.
_PANIC_LINES = (
    re.compile(r"Kernel panic - not syncing: ?(.*)"),
    re.compile(r"(BUG: (?:kernel NULL pointer dereference|unable to handle).*)"),
    re.compile(r"(Unable to handle kernel.*)"),
    re.compile(r"([Kk]ernel BUG at.*)"),
    re.compile(r"(general protection fault.*)"),
    re.compile(r"((?:Internal error: )?Oops\b.*)"),
)


def panic_message(lines: tuple[str, ...]) -> str | None:
    """What the kernel said when it died, without "Kernel panic - not syncing: ".

    :param lines: the log, with or without time stamps
    """
    for pattern in _PANIC_LINES:
        for line in lines:
            if match := pattern.search(line):
                return match[1]
    return None


def _crash_time(program: Program) -> float:
    try:
        return int(ktime_get_coarse_real_ns(program)) / 1e9
    except READ_ERRORS:
        return float(int(ktime_get_real_seconds(program)))


def _uptime(program: Program) -> float:
    try:
        return int(ktime_get_coarse_boottime_ns(program)) / 1e9
    except READ_ERRORS:
        return float(int(ktime_get_boottime_seconds(program)))


def _release(program: Program) -> str:
    try:
        return text(program["init_uts_ns"].name.release.string_())
    except READ_ERRORS:
        # From VMCOREINFO, which libdrgn has even where memory cannot be read.
        return text(program["UTS_RELEASE"].string_())


def system(program: Program, log: tuple[str, ...] | Unreadable) -> System:
    """Read the header; whatever the dump lacks is :class:`~kautopsy.model.base.Unreadable`.

    :param log: the kernel log, for the panic message
    """

    def uts(member: str) -> str | Unreadable:
        return readable(lambda: text(program["init_uts_ns"].name.member_(member).string_()))

    panic: str | Unreadable
    if isinstance(log, Unreadable):
        panic = log
    else:
        panic = panic_message(log) or Unreadable("the log holds no panic message")
    return System(
        release=readable(lambda: _release(program)),
        version=uts("version"),
        nodename=uts("nodename"),
        machine=uts("machine"),
        cpus=readable(lambda: num_present_cpus(program)),
        cpus_online=readable(lambda: num_online_cpus(program)),
        memory_bytes=readable(lambda: totalram_pages(program) * int(program["PAGE_SIZE"])),
        crash_time=readable(lambda: _crash_time(program)),
        uptime_seconds=readable(lambda: _uptime(program)),
        load_average=readable(lambda: loadavg(program)),
        tasks=readable(lambda: count(program)),
        # G only says that no proprietary module (P) is loaded.
        tainted=readable(lambda: tuple(tainted(program).replace(" ", "").replace("G", ""))),
        panic=panic,
    )
