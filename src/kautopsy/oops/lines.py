"""One line of a log, as the kernel meant it."""

from __future__ import annotations

import msgspec


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line without what consoles and daemons put before it.

    :param number: in its file, from 1
    :param text: what the kernel printed, trailing white space removed
    :param time: seconds since boot (printk's own stamp), None if there is none
    :param caller: ``T123`` (a task) or ``C0`` (a CPU) with CONFIG_PRINTK_CALLER
    :param stamp: wall-clock time as the console server, syslog or ``dmesg -T`` wrote it
    :param host: as syslog or netconsole's receiver names who said it
    :param torn: another message was printed into the middle of this one
    :param by_kernel: it bears the kernel's own stamp, or whoever logged it says it is the kernel's
    """

    number: int
    text: str
    time: float | None = None
    caller: str | None = None
    stamp: str | None = None
    torn: bool = False
    host: str | None = None
    by_kernel: bool = False
