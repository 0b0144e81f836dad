"""Lines → reports: boots, chains, CPUs that talk at once.

With CONFIG_PRINTK_CALLER every line says who printed it, and reports that ran into each other come
apart by that alone. Without, whoever begins a report takes the lines until the next one begins, and
a report that is cut off before its backtrace says so.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families import Family
from kautopsy.oops.families.base import HEADLESS
from kautopsy.oops.families.panics import ends
from kautopsy.oops.lines import Line
from kautopsy.oops.look import look, recognise
from kautopsy.oops.sight import GOODBYE, Sight
from kautopsy.oops.triggers import ORDERLY

_BEFORE = 8
_HEAD_LINES = 40
"""Lines that the head of a report (up to its backtrace) may take."""
_FAR = 200
"""Lines without anything of a report, after which it is over; arm64 dumps memory that long."""
_MAX_LINES = 20_000
_SWEEP = 4000
_CUT_HERE = "------------[ cut here ]------------"
_CHAIN_SECONDS = 60.0
"""A machine check this soon after a warning is what the warning was a sign of."""
_PANIC_SECONDS = 300.0
"""panic() comes at once, but printing a big machine's state over a serial line takes minutes."""
_RULE = lazy_pattern(r"={20,}$|={5,}$|-{20,}$")
_MESSAGE = lazy_pattern(
    r"SysRq|list_\w+ corruption|usercopy:|refcount_t|kernel tried to execute|detected buffer"
    r"|Watchdog"
)
# Consoles deliver lines a little out of order; a boot begins near zero, or far from where another
# machine's log in the same file ended.
_SMALL_TIME = 5.0
_BIG_STEP = 300.0
_BOOT = lazy_pattern(r"Linux version \d")
_RELEASE = lazy_pattern(r"Linux version (\d[\w.+~@-]*)")
_NMI = lazy_pattern(r"Sending NMI |NMI backtrace for|sending NMI")


@dataclass(slots=True)
class Report:
    """A report while it grows.

    :param all_cpus: every CPU was asked for its backtrace, and their lines belong here
    :param prelude: a report shortly before that this one grew out of
    """

    body: Body
    family: Family
    match: re.Match[str]
    release: str | None
    prelude: Report | None = None
    all_cpus: bool = False


class Splitter:
    """Takes lines, gives reports when they are over."""

    def __init__(self) -> None:
        self.release: str | None = None
        self._open: dict[str | None, Report] = {}
        self._latest: Report | None = None
        self._recent: dict[str | None, deque[Line]] = {}
        self._time: float | None = None
        self._orderly = False
        self._swept = 0

    def feed(self, line: Line) -> list[Report]:
        """Take in one line; gives the reports that it ends."""
        text = line.text
        seen = look(text)
        over: list[Report] = []
        if (line.time is not None or text.startswith("Linux version ")) and self._is_boot(line):
            over += self.finish()
            self._boot(line)
        elif seen.cues & GOODBYE and ORDERLY.search(text):
            self._orderly = True
        if line.number > self._swept + _SWEEP:
            over += self._silent(line)
        found = recognise(text, seen)
        if found is not None and not self._is_head(line, *found):
            found = None
        if found is not None:
            # whatever boots after a panic was to be expected
            self._orderly |= found[0].name == "panic"
            over += self._head(line, seen, *found)
        else:
            self._body(line, seen)
        self._remember(line)
        return over

    def finish(self) -> list[Report]:
        """The reports that are still open."""
        reports = sorted(self._open.values(), key=lambda report: report.body.first_line)
        self._open.clear()
        self._latest = None
        return reports

    def _silent(self, line: Line) -> list[Report]:
        """End the reports whose caller has long said nothing: callers are without number."""
        self._swept = line.number
        silent = [
            caller
            for caller, report in self._open.items()
            if line.number - report.body.lines[-1].number > _SWEEP
        ]
        return [self._open.pop(caller) for caller in silent]

    def forget(self) -> None:
        """Lines are left out here: what came just before is no longer just before."""
        self._recent.clear()

    def _is_boot(self, line: Line) -> bool:
        """Whether the kernel that prints ``line`` is not the one that printed those before."""
        time = line.time
        new = _BOOT.match(line.text) is not None
        if time is not None:
            gone = 0.0 if self._time is None else self._time - time
            if gone > 1.0 and (time < _SMALL_TIME or gone > _BIG_STEP):
                new = True
            if self._time is None or time > self._time or new:
                self._time = time
        return new

    def _boot(self, line: Line) -> None:
        self._recent.clear()
        self._orderly = False
        match = _RELEASE.match(line.text)
        if match is not None:
            self.release = match[1]
        if line.time is None:
            self._time = None

    def _is_head(self, line: Line, family: Family, match: re.Match[str]) -> bool:
        """Whether a line that looks like a head is one here."""
        if family.name == "reboot":
            return self._is_reset(line, match)
        if family.name == HEADLESS and look(line.text).alone:
            return not self._open  # a frame: a backtrace of which even the beginning is lost
        if family.name == "corrupted-debug":
            # who allocated and freed the object: of the report about it, where its head is known
            open_ = self._open.get(line.caller)
            return open_ is None or open_.family.name not in ("slab", "kasan", family.name)
        if family.name == HEADLESS:
            return not any(
                caller in (line.caller, None) and _listens(report, line)
                for caller, report in self._open.items()
            )
        return True

    def _is_reset(self, line: Line, match: re.Match[str]) -> bool:
        """Whether what firmware or a decompressor says comes after a kernel that did not go down.

        Nobody asked for the boot that begins: no report, no farewell and no panic before. A log of
        the kernel's words alone does not tell, however many boots it has: what asks for a reboot
        (init, a signal to the logger) is not in it. A console has both that and the firmware.
        """
        if line.host is not None or (line.by_kernel and match.start() == 0):
            return False  # the kernel speaks of firmware
        reset = self._time is not None and not self._orderly and not self._open
        self._orderly = True  # the rest of the way up is of the same boot
        return reset

    def _head(self, line: Line, seen: Sight, family: Family, match: re.Match[str]) -> list[Report]:
        over: list[Report] = []
        report = self._open.get(line.caller)
        if report is not None and report.family.name == HEADLESS and family.name != "panic":
            # What seemed the rest of a report stands before the head of one: they are two.
            over.append(self._open.pop(line.caller))
            report = None
        if family.name == "panic":
            ended = self._ended_by(line, line.text[match.start() :])
            if ended is not None:
                if ended.body.panic is None:
                    ended.body.panic = line.text[match.start() :]
                ended.body.add(line, seen)
                ended.body.last_line = line.number
                return over
        if (
            family.name == "panic"
            and report is not None
            and report.family.name not in (*family.takes_over, "panic", "sysrq")
            and not report.body.has_trace
            and len(report.body.lines) <= _HEAD_LINES
            and _soon(report, line, _CHAIN_SECONDS)
            and report.family.parse(report.match, report.body).needs_trace
        ):
            # panic() instead of the report's own backtrace
            report.body.panic = line.text[match.start() :]
            report.body.add(line, seen)
            report.body.last_line = line.number
            return over
        prelude = None
        if report is not None:
            # A symbolised copy repeats the line for every function inlined where it happened.
            if (
                family is report.family
                and "[inline]" in report.body.head.text
                and self._before_it(line) is report.body.lines[-1]
            ):
                report.match = match
                report.body.head = line
                report.body.add(line, seen)
                return over
            if (
                family is report.family
                and report.body.head.text == line.text
                and not report.body.has_trace
            ):
                report.body.last_line = line.number  # said again and again
                return over
            young = (
                not report.body.has_trace
                and len(report.body.lines) <= _HEAD_LINES
                and _soon(report, line, _CHAIN_SECONDS)
            )
            if young and report.family.name in family.detail_of:
                if report.family.name == "sysrq":
                    report.family, report.match = family, match
                    report.body.head = line
                    report.body.asked_for = True
                report.body.add(line, seen)
                report.body.last_line = line.number
                return over
            if young and report.family.name in family.takes_over:
                report.family, report.match = family, match
                report.body.head = line
                report.body.add(line, seen)
                report.body.facts.headline(line.text)
                report.body.last_line = line.number
                return over
            if (
                family.name == "machine-check"
                and report.family.name == "warning"
                and _soon(report, line, _CHAIN_SECONDS)
            ):
                prelude = report
            elif (
                young
                and line.caller is None
                and len(report.body.lines) <= 20
                and family is not report.family
            ):
                report.body.disturbed = "another report begins before the backtrace of this one"
            if prelude is None:
                over.append(report)
        before = self._before(line)
        body = Body(line, before)
        if family.name == HEADLESS and (seen.alone or line.text.lstrip().startswith("---[ end")):
            for earlier in self._recent.get(line.caller, ()):
                body.add(earlier, look(earlier.text))
            body.add(line, seen)
        self._latest = Report(body, family, match, self.release, prelude)
        self._open[line.caller] = self._latest
        return over

    def _ended_by(self, line: Line, panic: str) -> Report | None:
        """The report that a panic is the end of: its CPU's own, else the last one that fits."""
        own = self._open.get(line.caller)
        for report in (own, *reversed(self._open.values())):
            if report is None or report.family.name == "panic":
                continue
            if ends(panic, report.family.name) and _soon(report, line, _PANIC_SECONDS):
                return report
        return None

    def _body(self, line: Line, seen: Sight) -> None:
        report = self._open.get(line.caller)
        if report is None:
            if not self._open:
                return
            latest = self._latest
            if (
                latest is not None
                and latest.all_cpus
                and line.caller is not None
                and line.caller[0] == "C"
            ) or (line.caller is None and latest is not None and latest.body.head.caller is None):
                report = latest
            else:
                return
        if len(report.body.lines) < _MAX_LINES:
            report.body.add(line, seen)
            if not report.all_cpus and "NMI" in line.text and _NMI.search(line.text):
                report.all_cpus = True

    def _before_it(self, line: Line) -> Line | None:
        """What the same caller said last; in the journal's forms an entry takes many lines."""
        recent = self._recent.get(line.caller)
        return recent[-1] if recent else None

    def _remember(self, line: Line) -> None:
        recent = self._recent.get(line.caller)
        if recent is None:
            if len(self._recent) > 256:
                self._recent.clear()
            recent = self._recent[line.caller] = deque(maxlen=_BEFORE)
        recent.append(line)

    def _before(self, head: Line) -> list[Line]:
        """What of the lines before belongs: from `cut here` on, a rule, a SysRq's announcement."""
        recent = list(self._recent.get(head.caller, ()))
        for index in range(len(recent) - 1, -1, -1):
            text = recent[index].text
            if _CUT_HERE in text:
                return recent[index:]
            if text.startswith("---[ end") or "Call Trace" in text:
                break
        start = len(recent)
        for index in range(len(recent) - 1, max(len(recent) - 4, -1), -1):
            text = recent[index].text.strip()
            if not text or _RULE.fullmatch(text) or _MESSAGE.search(text):
                start = index
            else:
                break
        while start < len(recent) and not recent[start].text.strip():
            start += 1
        return recent[start:]


def _listens(report: Report, line: Line) -> bool:
    """Whether what looks like a part of some report is one of ``report``."""
    if report.family.name == HEADLESS and line.number - report.body.last_line > _FAR:
        return False
    return not report.body.is_over(line)


def _soon(report: Report, line: Line, seconds: float) -> bool:
    """Whether ``line`` came within ``seconds`` of the report's end; without a clock, near it."""
    times = (report.body.lines[-1].time or report.body.head.time, line.time)
    if None in times:
        return line.number - report.body.last_line < 2000
    start, now = times
    assert start is not None
    assert now is not None
    return -1.0 <= now - start <= seconds
