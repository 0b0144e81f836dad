"""A log's crashes: what the rest of kautopsy asks this room for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from kautopsy.fingerprint import fingerprint
from kautopsy.model.crash import Crash, Frame, Kind, TextSpan, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.corrupted import why_corrupted
from kautopsy.oops.families import Name
from kautopsy.oops.families.base import HEADLESS, in_function, innermost, printed_as
from kautopsy.oops.families.torn import is_crash
from kautopsy.oops.reading import lines_of
from kautopsy.oops.scan import regions
from kautopsy.oops.splitter import Report, Splitter
from kautopsy.oops.streams import plain
from kautopsy.oops.titles import cut


def read_crashes(
    stream: BinaryIO, *, on_progress: Callable[[int], None] | None = None
) -> Iterator[Crash]:
    """The crashes in ``stream``, in the order in which they end; memory stays flat.

    :param stream: any console, dmesg, syslog, journal or pstore text; packed too, or in UTF-16
    :param on_progress: called with the number of bytes read so far
    """
    for report, crash in read_reports(stream, on_progress=on_progress):
        del report
        yield crash


def read_reports(
    stream: BinaryIO, *, on_progress: Callable[[int], None] | None = None
) -> Iterator[tuple[Report, Crash]]:
    """As :func:`read_crashes`, each with the report it was read from."""
    splitter = Splitter()
    for region in regions(plain(stream), on_progress=on_progress):
        if not region.adjoins:
            for report in splitter.finish():
                if not _idle_talk(report):
                    yield report, _crash(report)
            splitter.forget()
        for line in lines_of(region.data, region.first_line):
            for report in splitter.feed(line):
                if not _idle_talk(report):
                    yield report, _crash(report)
    for report in splitter.finish():
        if not _idle_talk(report):
            yield report, _crash(report)


def _idle_talk(report: Report) -> bool:
    """A ``BUG:`` of nobody's, or registers that somebody asked for.

    Firmware, programs and their release notes say ``BUG:`` and ``INFO:`` too. The kernel's has its
    clock, or whoever logged it, before it; or a backtrace, registers or who ran behind it.
    """
    body = report.body
    if report.family.name == HEADLESS:
        return not is_crash(body)
    if report.family.name in ("ghes", "mce-logged"):
        return body.panic is None and any(_CORRECTED.search(text) for text in body.texts()[:12])
    return (
        (report.family.name in ("other-bug", "torn", "assertion") or _in_prose(report))
        and not body.head.by_kernel
        and not body.has_trace
        and body.instruction is None
        and body.facts.task is None
        and body.facts.tainted is None
    )


# drivers/firmware/efi/cper.c, drivers/edac/mce_amd.c: the hardware mended it
_CORRECTED = lazy_pattern(
    r"event severity: (?:corrected|info)|It has been corrected by h/w|Corrected error, no action"
)


def _in_prose(report: Report) -> bool:
    """Whether the words that name a crash stand in somebody's sentence or list of changes."""
    text = report.body.head.text
    before, after = text[: report.match.start()], text[report.match.end() :]
    if report.body.head.stamp is not None and not _PROGRAM.search(before):
        return False  # a logger's line, with its host before it
    if _BULLET.match(text) or any(word not in _KERNELS for word in _WORD.findall(before)):
        return True
    quote = before[-1:]
    closing = after.find(quote) if quote in ('"', "'", "`") and quote else -1
    return closing >= 0 and len(_WORD.findall(after[closing + 1 :])) > 1


_WORD = lazy_pattern(r"(?<!\S)[A-Za-z']{2,}[,.;?]?(?!\S)")
_KERNELS = frozenset(("NMI", "CPU", "Oops", "Uhhuh."))
"""Words that a kernel puts before."""
_PROGRAM = lazy_pattern(r"[\w./-]\[\d+\]: ")
_BULLET = lazy_pattern(r"[ \t]*[-*] (?!`)")


def read_text(text: str) -> list[Crash]:
    """The crashes in ``text``."""
    return list(read_crashes(io.BytesIO(text.encode("utf-8", "surrogateescape"))))


def _crash(report: Report) -> Crash:
    body = report.body
    name = report.family.parse(report.match, body)
    reason = why_corrupted(body, name)
    facts = body.facts
    calls = body.calls()
    frames = tuple(calls[0].frames) if calls else ()
    title, titles = _titles(report, name)
    instruction = body.instruction
    # x86 leaves the frame that was executing out of the backtrace; it is the innermost one
    executing = instruction if "rip" in body.pointer else None
    if executing is not None and _known(executing) and frames:
        frames = frames if _is(frames[0], executing) else (executing, *frames)
    if instruction is None and not body.user_fault and name.kind in _INTERRUPTED:
        instruction = body.later_instruction
    crash = Crash(
        kind=name.kind,
        title=title,
        titles=titles,
        trigger=_trigger(report, name),
        corrupted=reason is not None,
        corrupted_reason=reason,
        cpu=facts.cpu,
        task=facts.task,
        instruction=instruction if instruction is not None and _known(instruction) else None,
        frames=frames,
        registers=body.registers,
        modules=tuple(dict.fromkeys(facts.modules)),
        module_flags=facts.module_flags,
        tainted=facts.tainted or (),
        release=facts.release or report.release,
        hardware=facts.hardware,
        text=TextSpan(
            first_line=(report.prelude.body if report.prelude else body).first_line,
            last_line=max(body.last_line, body.highest_line, body.head.number),
        ),
        uptime_seconds=body.head.time,
        wall_time=body.head.stamp,
        code=body.code or None,
        build_id=facts.build_id,
        kernel_offset=facts.kernel_offset,
        follow_ups=(body.panic,) if body.panic else (),
    )
    return _with_fingerprint(crash)


def _is(frame: Frame, executing: Frame) -> bool:
    """Whether a backtrace's first frame is the executing one; in a recursion offsets differ."""
    if frame.function != executing.function:
        return False
    offsets = {frame.offset, executing.offset}
    return len(offsets) == 1 or None in offsets


_INTERRUPTED = {
    Kind.SOFT_LOCKUP,
    Kind.HARD_LOCKUP,
    Kind.RCU_STALL,
    Kind.HARDWARE_NMI,
    Kind.OPERATOR_NMI,
    Kind.MACHINE_CHECK,
}


def _known(frame: object) -> bool:
    return (
        getattr(frame, "function", None) is not None or getattr(frame, "address", None) is not None
    )


def _trigger(report: Report, name: Name) -> Trigger | None:
    if name.trigger is not None:
        return name.trigger
    return Trigger.PANIC if report.body.panic else None


def _titles(report: Report, name: Name) -> tuple[str, tuple[str, ...]]:
    others = list(name.titles)
    if report.prelude is not None:
        others.append(report.prelude.family.parse(report.prelude.match, report.prelude.body).title)
    title = cut(name.title)
    mechanism, named, function = name.title.rpartition(" in ")
    inner = innermost(report.body) if named else None
    if inner is not None and inner != function:
        others.append(in_function(mechanism, inner))
    wrapper = printed_as(report.body, function)
    if wrapper is not None:  # people search for what stands in the log
        others.append(in_function(mechanism, wrapper))
    return title, tuple(dict.fromkeys(cut(o) for o in others if cut(o) != title))


def _with_fingerprint(crash: Crash) -> Crash:
    return msgspec.structs.replace(crash, fingerprint=fingerprint(crash))
