"""How a family of reports is declared.

A family is a function under :func:`report`: a pattern for the line that names the crash, and what
to make of the body behind it. Patterns are searched in the cleaned text of a line, families in the
order in which their modules are imported; the first that matches counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kautopsy.fingerprint.generic import Role, role
from kautopsy.model.crash import Frame, Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.helpers import is_helper
from kautopsy.oops.titles import first_named, guilty, plain

ANY = frozenset({"*"})
FUNCTION = r"(?P<function>[A-Za-z_.$][\w.$]*)(?:\+(?:0x)?[0-9a-f]+(?:/0x[0-9a-f]+)?)?"
AT_FUNCTION = (
    r"at:[ \t]*(?:\[<[0-9a-f]*>\][ \t]*"
    r"|\[\][ \t]*)?(?P<function>[A-Za-z_.$][\w.$]*)(?:\+(?:0x)?[0-9a-f]+/| \([\w/.+-]+:\d)"
)


@dataclass(frozen=True, kw_only=True)
class Name:
    """What a report is.

    :param needs_trace: without a backtrace the report is not whole
    :param corrupted: why it cannot be trusted, as far as its own words show
    """

    kind: Kind
    title: str
    titles: tuple[str, ...] = ()
    trigger: Trigger | None = None
    needs_trace: bool = True
    corrupted: str | None = None


Parse = Callable[["re.Match[str]", Body], Name]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of reports.

    :param words: whatever ``pattern`` matches holds one of these (a test sees to it)
    :param detail_of: families whose report this line continues while it has no backtrace yet
    :param takes_over: families that this line, coming before their backtrace, says better
    """

    name: str
    pattern: re.Pattern[str]
    parse: Parse
    words: tuple[str, ...]
    detail_of: frozenset[str] = frozenset()
    takes_over: frozenset[str] = frozenset()


FAMILIES: list[Family] = []
_WAY_IN = 12
"""Frames from die() to the entry of the fault, stale ones among them."""
HEADLESS = "head-lost"
"""The family of reports of which a log has only the rest."""


def report(
    name: str,
    pattern: str,
    *,
    words: tuple[str, ...],
    detail_of: Iterable[str] = (),
    takes_over: Iterable[str] = (),
) -> Callable[[Parse], Parse]:
    """Declare the family ``name``."""

    def declare(parse: Parse) -> Parse:
        FAMILIES.append(
            Family(
                name=name,
                pattern=lazy_pattern(pattern),
                parse=parse,
                words=words,
                detail_of=frozenset(detail_of),
                takes_over=frozenset(takes_over),
            )
        )
        return parse

    return declare


def in_function(title: str, function: str | None) -> str:
    """``title in function``, or ``title`` alone where no function is known."""
    return f"{title} in {function}" if function else title


def at_instruction(body: Body, *skip: re.Pattern[str]) -> str | None:
    """Who executed: the instruction pointer's function, or whom it served."""
    if body.instruction is not None and body.instruction.function is not None:
        name = plain(body.instruction.function)
        passed_over = any(pattern.search(name) for pattern in skip)
        if not is_helper(name) and not passed_over:
            return name
        return on_stack(body, *skip) or (None if passed_over else name)
    return on_stack(body, *skip)


def on_stack(body: Body, *skip: re.Pattern[str], trace: int = 0) -> str | None:
    """The first function of the report's stack that a title can name."""
    frames = stack(body, trace)
    return (
        guilty(frames, *skip)
        or guilty(frames)
        or first_named(f for f in frames if role(f.function or "") is not Role.REPORTER)
    )


def stack(body: Body, trace: int = 0) -> list[Frame]:
    """The reliable frames of the report's ``trace``-th stack; empty if there is none.

    Where the kernel vouches for no frame, after a jump into nowhere, those inside of the way into
    the fault are about the fault, not about who ran into it.
    """
    calls = body.calls()
    frames = calls[min(trace, len(calls) - 1)].reliable() if calls else []
    if any(frame.reliable for frame in frames):
        return frames
    entries = [
        number
        for number, frame in enumerate(frames[:_WAY_IN])
        if role(frame.function or "") is Role.FAULT_ENTRY
    ]
    return frames[entries[-1] + 1 :] if entries else frames


def said_or_stacked(function: str | None, body: Body, *skip: re.Pattern[str]) -> str | None:
    """``function``, which the report's own headline names, or whom it served."""
    if function:
        name = plain(function)
        if not is_helper(name) and not any(pattern.search(name) for pattern in skip):
            return name
    return on_stack(body, *skip) or (plain(function) if function else None)


def innermost(body: Body) -> str | None:
    """The innermost function that does not merely report: a helper, where one was executing.

    Trackers that skip fewer helpers, or none, file the crash under this one.
    """
    frames = [*([body.instruction] if body.instruction else ()), *stack(body)]
    for frame in frames:
        if frame.function is None or frame.inline:
            continue
        if role(frame.function) not in _REPORTING:
            return plain(frame.function)
    return None


def printed_as(body: Body, call: str) -> str | None:
    """The symbol that the log has for the system call ``sys_...``, if another: ``SyS_pause``."""
    if not call.startswith("sys_"):
        return None
    frames = [*([body.instruction] if body.instruction else ()), *stack(body)]
    for frame in frames:
        if frame.function is not None and plain(frame.function) == call:
            return frame.function if frame.function != call else None
    return None


_REPORTING = {Role.REPORTER, Role.FAULT_ENTRY, Role.OBSERVER, Role.INTERRUPT_ENTRY}


def skip(*patterns: str) -> re.Pattern[str]:
    """Patterns (searched) of functions that this family never names."""
    return lazy_pattern("|".join(patterns))
