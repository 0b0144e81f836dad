"""The last minutes of the kernel log as a story: when what was said, and which lines matter.

Renderers draw it; here nothing is known of pictures. A report keeps log lines as text, as dmesg or
a console gave them, so the time is read from ``[  123.456789]`` and the weight from the words that
kernels of all versions use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from kautopsy.model.base import Unreadable
from kautopsy.model.report import Report

WINDOW_SECONDS = 600.0
"""How far before the crash the picture reaches."""

_TIME = re.compile(r"\[\s{0,8}(\d{1,9}\.\d{3,9})\]")
_TIME_WITHIN = 120
_CALLER = re.compile(r"^\[\s*[TC]\d+\]\s?")


class Weight(IntEnum):
    """How much a line of the log matters."""

    PLAIN = 0
    TROUBLE = 1
    FATAL = 2


_FATAL = re.compile(
    r"(?<!end )Kernel panic - not syncing|\bBUG: (?!workqueue|soft lockup)|kernel BUG at"
    r"|general protection|[Uu]nable to handle (?:kernel|paging)|\bOops\b|Internal error:"
    r"|double fault|divide error:|hard LOCKUP|invalid opcode:|PANIC:|stack guard page"
    r"|Attempted to kill init"
)
_TROUBLE = re.compile(
    r"\bWARNING: |soft lockup|rcu.*(?:stall|detected)|INFO: task .* blocked|blocked for more than"
    r"|[Oo]ut of memory|oom-kill|Killed process|BUG: workqueue|page allocation failure"
    r"|I/O error|EXT[234]-fs (?:error|warning)|XFS .*(?:error|Corruption)|BTRFS.*error"
    r"|Hardware Error|Machine check|mce: |EDAC .*(?:CE|UE)|NMI (?:received|watchdog|backtrace)"
    r"|sysrq: |clocksource: .*unstable|nvme.*timeout|timed out|timeout,|Buffer I/O|list_(?:add|del)"
    r"|refcount_t:|KASAN|UBSAN|possible (?:recursive|circular) locking|scheduling while atomic"
    r"|segfault at|link is down|watchdog: |SLUB: Unable|TX timeout"
)
# oops_end() and panic() close with "---[ end Kernel panic - not syncing: ... ]---".
_PANIC = re.compile(r"(?<!end )Kernel panic - not syncing")


@dataclass(frozen=True)
class Moment:
    """A line of the log: ``time`` in seconds since boot, None where the line has none."""

    index: int
    time: float | None
    text: str
    weight: Weight
    line: str
    """As the report has it, with its time."""


@dataclass(frozen=True)
class Timeline:
    """The log's lines, and which of them tells of the crash (its place in ``moments``)."""

    moments: tuple[Moment, ...]
    crash: int | None

    @property
    def crash_time(self) -> float | None:
        """Of the crash; of the last line where none tells of one."""
        if self.crash is not None and self.moments[self.crash].time is not None:
            return self.moments[self.crash].time
        return max((m.time for m in self.moments if m.time is not None), default=None)

    def window(self) -> tuple[Moment, ...]:
        """The moments with a time that lie within :data:`WINDOW_SECONDS` before the crash."""
        end = self.crash_time
        if end is None:
            return ()
        return tuple(
            m for m in self.moments if m.time is not None and m.time >= end - WINDOW_SECONDS
        )

    def notable(self, limit: int) -> tuple[Moment, ...]:
        """At most ``limit`` lines that matter; of each kind the first and the last ones remain."""
        found = [m for m in self.moments if m.weight or m.index == self.crash]
        if len(found) <= limit:
            return tuple(found)
        head = limit // 3
        kept = found[:head] + found[-(limit - head) :]
        if self.crash is not None and all(m.index != self.crash for m in kept):
            kept.append(self.moments[self.crash])
        return tuple(sorted(kept, key=lambda m: m.index))


def timeline(report: Report) -> Timeline:
    """The story that ``report.log`` tells."""
    if isinstance(report.log, Unreadable):
        return Timeline((), None)
    moments: list[Moment] = []
    for record in report.log:
        time: float | None = None
        for number, line in enumerate(record.split("\n")):
            here, text = _split(line)
            # A record of several lines has its time on the first.
            time = here if here is not None or number == 0 else time
            moments.append(Moment(len(moments), time, text, _weight(text), line))
    return Timeline(tuple(moments), _crash_line(report, moments))


def _split(line: str) -> tuple[float | None, str]:
    match = _TIME.search(line[:_TIME_WITHIN])
    if match is None:
        return None, line
    return float(match[1]), _CALLER.sub("", line[match.end() :].removeprefix(" ")).rstrip()


def _weight(text: str) -> Weight:
    text = text[:400]
    if _FATAL.search(text):
        return Weight.FATAL
    return Weight.TROUBLE if _TROUBLE.search(text) else Weight.PLAIN


def _crash_line(report: Report, moments: list[Moment]) -> int | None:
    crash = report.crash
    if crash is None:
        return None
    if crash.text is not None and report.log_start is not None:
        first = crash.text.first_line - report.log_start
        theirs = moments[max(first, 0) : max(crash.text.last_line - report.log_start + 1, 0)]
        if theirs:
            return next((m.index for m in theirs if m.weight), theirs[0].index)
    for pattern in (_PANIC, _FATAL):
        for moment in reversed(moments):
            if pattern.search(moment.text[:400]):
                return moment.index
    return None
