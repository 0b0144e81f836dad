"""The exact key: equal for two reports of one bug, from a vmcore or from text, or not at all.

The recipe, version 1, is the class of the crash and its first significant frames:

1. Only frames that the unwinder vouches for (``reliable``) and that are in the binary (not
   ``inline``: whether those show depends on who symbolised). Where nothing is reliable, all.
2. The stack starts where the trouble was. A dump's begins in ``crash_kexec``, a text's at the
   faulting instruction: the frames above a fault or an observing interrupt are cut.
3. It ends where the processor came from elsewhere: what an interrupt hit is chance.
4. Functions of :mod:`kautopsy.fingerprint.generic` are skipped; names are normalised, offsets and
   addresses left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby

from kautopsy.fingerprint.generic import Role, role
from kautopsy.fingerprint.names import normalise
from kautopsy.model.crash import Crash, Frame, Kind
from kautopsy.model.fingerprint import Fingerprint

VERSION = 1
DEPTH = 5
"""How many significant frames the exact key takes."""

_CLASSES: dict[str, tuple[Kind, ...]] = {
    # One wild pointer is met as a page fault, a GPF or a sanitizer's report, by chance and config.
    "memory": (
        Kind.NULL_DEREFERENCE,
        Kind.BAD_POINTER,
        Kind.USE_AFTER_FREE,
        Kind.EXEC_FAULT,
        Kind.DOUBLE_FAULT,
        Kind.STACK_OVERFLOW,
        Kind.LIST_CORRUPTION,
        Kind.SLAB_CORRUPTION,
        Kind.MEMORY_SAFETY,
    ),
    "bug": (Kind.BUG, Kind.INVALID_OPCODE),
    # Which watchdog barks first is a race.
    "lockup": (Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.SPINLOCK_STUCK, Kind.RCU_STALL),
    "hang": (Kind.HUNG_TASK, Kind.DEADLOCK, Kind.IO_HANG, Kind.WORKQUEUE_STALL),
    # An NMI does not say who sent it: a person's and the hardware's look alike in both sources.
    "nmi": (Kind.OPERATOR_NMI, Kind.HARDWARE_NMI),
}
_CLASS_OF = {kind: name for name, kinds in _CLASSES.items() for kind in kinds}
_OBSERVED = {
    Kind.SOFT_LOCKUP,
    Kind.HARD_LOCKUP,
    Kind.RCU_STALL,
    Kind.OPERATOR_NMI,
    Kind.HARDWARE_NMI,
    Kind.WATCHDOG,
}
_ABOVE_THE_TROUBLE = {Role.REPORTER, Role.FAULT_ENTRY, Role.OBSERVER, Role.INTERRUPT_ENTRY}


def kind_class(crash: Crash) -> str:
    """The coarse kind that the exact key takes: the kind itself where no class holds it."""
    if any(frame.function == "sysrq_handle_crash" for frame in _usable(crash)):
        # The handler wrote to NULL, so that the report was of a NULL dereference, until it called
        # panic() ("sysrq: Use panic() to force a crash", 2019).
        return Kind.OPERATOR_SYSRQ
    return _CLASS_OF.get(crash.kind, str(crash.kind))


def significant(crash: Crash) -> tuple[Frame, ...]:
    """The frames of ``crash`` that say something about its bug, innermost first."""
    frames = _from_the_trouble_on(crash, _usable(crash))
    found: list[Frame] = []
    for frame in frames:
        what = role(frame.function or "")
        if what is None:
            found.append(frame)
        elif what is Role.INTERRUPT_ENTRY and found:
            break
    if found:
        return tuple(found)
    # All is generic: better a helper than a reporter.
    for fallback in (Role.HELPER, Role.OBSERVER, Role.BOTTOM):
        rest = tuple(frame for frame in frames if role(frame.function or "") is fallback)
        if rest:
            return rest
    return tuple(frames)


def fingerprint(crash: Crash) -> Fingerprint:
    """The keys of ``crash``.

    ``exact`` is right to merge on. ``keys`` are for ranking and for people: ``class`` (the coarse
    kind), ``function`` (the first significant one), ``stack`` (a hash of all significant frames).
    A crash without any frame is told apart by its title.
    """
    frames = [_name(frame) for frame in significant(crash)]
    # Recursion depth is chance.
    frames = [name for name, _ in groupby(frames)]
    kind = kind_class(crash)
    keys = {"class": kind}
    if frames:
        keys["function"] = frames[0]
        keys["stack"] = _hash([kind, *frames])
    exact = [kind, *frames[:DEPTH]] if frames else [kind, "title", crash.title]
    return Fingerprint(version=VERSION, exact=_hash(exact), keys=keys)


def _usable(crash: Crash) -> Sequence[Frame]:
    named = [frame for frame in crash.frames if frame.function and not frame.inline]
    return [frame for frame in named if frame.reliable] or named


def _from_the_trouble_on(crash: Crash, frames: Sequence[Frame]) -> Sequence[Frame]:
    instruction = crash.instruction
    if instruction is not None and instruction.function and not instruction.inline:
        name = normalise(instruction.function)
        for index, frame in enumerate(frames):
            if normalise(frame.function or "") == name and (
                None in (frame.offset, instruction.offset) or frame.offset == instruction.offset
            ):
                return frames[index:]
        return [instruction, *frames[_reported(frames, crash) :]]
    return frames[_reported(frames, crash) :]


def _reported(frames: Sequence[Frame], crash: Crash) -> int:
    """How many of the innermost frames only report the trouble or observe it."""
    roles = [role(frame.function or "") for frame in frames]
    if crash.kind in _OBSERVED and Role.INTERRUPT_ENTRY in roles:
        end = roles.index(Role.INTERRUPT_ENTRY)
        while end < len(roles) and roles[end] is Role.INTERRUPT_ENTRY:
            end += 1
        return end
    end = 0
    while end < len(roles) and roles[end] in _ABOVE_THE_TROUBLE:
        end += 1
    return end


def _name(frame: Frame) -> str:
    name = normalise(frame.function or "")
    return f"{name} [{frame.module}]" if frame.module else name


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
