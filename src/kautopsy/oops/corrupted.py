"""Whether a report can be trusted, and if not, why."""

from __future__ import annotations

from kautopsy.fingerprint.generic import Role, role
from kautopsy.model.crash import Kind
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name

_STACK_START = lazy_pattern(
    r"Call [Tt]race:|Allocated:|Allocated by task \d+:|Freed:|Freed by task \d+:"
    r"|(?<!k) backtrace:|^Backtrace:"
)
_FRAME = lazy_pattern(
    r"\+0x[0-9a-f]+/0x[0-9a-f]+|\+[0-9a-f]+/0x|\[inline\]|from \[<[0-9a-f]+>\]"
    r"|\(stack is not available\)|^\s*\[<[0-9a-f]+>\]|^\s*\(?\[<[0-9a-f]{8,16}>\]"
)
_LINES_TO_A_FRAME = 15
_FEW_LINES = 4


def why_corrupted(body: Body, name: Name) -> str | None:
    """The first reason not to believe the report; None if it looks whole."""
    if body.head.torn and name.needs_trace:
        return "another message was printed into the middle of the first line"
    if name.corrupted is not None:
        return name.corrupted
    if body.disturbed is not None and name.needs_trace:
        return body.disturbed
    if not name.needs_trace:
        return None
    if not body.has_trace:
        if body.instruction is not None and body.instruction.function and body.ended:
            return None
        return "no backtrace: the log ends or goes on with something else before it"
    wild = body.instruction is not None and body.instruction.function is None
    if wild and _all_guessed(body):
        return "the instruction pointer is wild, and no frame of the backtrace is vouched for"
    if name.kind in _FROM_STACK_ALONE and _all_guessed(body) and _has_good_unwinder(body):
        return "no frame of the backtrace is vouched for"
    if _only_reporters(body):
        return "the backtrace ends in the functions that report, before who was reported"
    if body.foreign_stack:
        return "the backtrace of an injected failure stands in the middle of the report"
    return _stack_without_frames(body)


def _only_reporters(body: Body) -> bool:
    """An unwinder that lost its way (`from [<ffffffff>] (0xffffffff)`) before it left panic()."""
    frames = body.calls()[0].reliable()
    if frames[-1].function is not None:
        return False
    named = [frame.function for frame in frames if frame.function is not None]
    return bool(named) and all(role(name) is Role.REPORTER for name in named)


_FROM_STACK_ALONE = {Kind.HUNG_TASK, Kind.STACK_OVERFLOW, Kind.SOFT_LOCKUP, Kind.RCU_STALL}


def _all_guessed(body: Body) -> bool:
    calls = body.calls()
    return bool(calls) and not any(frame.reliable for frame in calls[0].frames)


def _has_good_unwinder(body: Body) -> bool:
    """Kernels of today mark with `?` what they did not unwind; old ones, often all."""
    release = body.facts.release or ""
    return release[:1].isdigit() and int(release.split(".")[0]) >= 4


def _stack_without_frames(body: Body) -> str | None:
    # Text of other programs on the console has no time stamp where the kernel's has.
    stamped = body.head.time is not None
    lines = [line for line in body.lines[:4000] if not stamped or line.time is not None]
    seen: set[str] = set()
    for index, line in enumerate(lines):
        text = line.text
        if not ("race:" in text or "Allocated" in text or "Freed" in text):
            continue
        start = _STACK_START.search(text)
        if start is None or start.group()[:5] in seen:
            continue
        seen.add(start.group()[:5])
        rest = lines[index + 1 : index + 1 + _LINES_TO_A_FRAME]
        if len(lines) - index < _FEW_LINES and index == len(lines) - 1:
            return "the log ends where a backtrace begins"
        for follower in rest:
            if _STACK_START.search(follower.text):
                return "a backtrace has no frames"
            if _FRAME.search(follower.text):
                break
        else:
            return "a backtrace has no frames"
    return None
