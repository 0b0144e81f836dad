"""The exact key: equal for two reports of one bug, from a vmcore or from text, or not at all.

The recipe, version 3:

1. Only frames that the unwinder vouches for (``reliable``) and that are in the binary (not
   ``inline``: whether those show depends on who symbolised). Where nothing is reliable, all.
2. The stack starts where the trouble was. A dump's begins in ``crash_kexec``, a text's at the
   faulting instruction: the frames above a fault or an observing interrupt are cut.
3. It ends where the processor came from elsewhere: what an interrupt hit is chance.
4. Functions of :mod:`kautopsy.fingerprint.generic` are skipped; names are normalised, offsets and
   addresses left out, and so are modules: what is one in this kernel is built into the next. The
   class of the crash and the first :data:`DEPTH` names are the key.
5. A stack with fewer than :data:`ENOUGH` such names is too little to merge on: the generic ones
   come back, and the modules, whose ``probe`` and ``init_module`` are many. The kernel's series
   joins them, and without a single such name its release, unless a watchdog or an NMI merely
   looked and the victim is chance anyway.
6. Without any frame, title and release are the key; a fragment that has not even a release is like
   nothing but itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from kautopsy.fingerprint.generic import Role, role
from kautopsy.fingerprint.names import normalise
from kautopsy.model.base import to_json
from kautopsy.model.crash import Crash, Frame, Kind
from kautopsy.model.fingerprint import Fingerprint
from kautopsy.model.lazy import lazy_pattern

VERSION = 3
DEPTH = 8
"""How many significant frames the exact key takes."""
ENOUGH = 4
"""With as many significant frames, two crashes with the same ones are one bug."""

_CLASSES: dict[str, tuple[Kind, ...]] = {
    # One wild pointer ends as a page fault, a GPF or a list's complaint, by what it points to, and
    # as a sanitizer's report where the kernel was built with one.
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
# Reports that share a kind and differ in what they are about; those who print them tell.
_SAID_BY = (("__ubsan_handle_", "ubsan"), ("lockdep_rcu_suspicious", "rcu usage"))
_DETECTOR = lazy_pattern(
    # kernel/rcu/tree_stall.h and tree.c, kernel/watchdog.c
    r"(?:print|check)_(?:other_)?cpu_stall|rcu_(?:check_callbacks|sched_clock_irq)|watchdog_timer_fn"
)
_ABOVE_THE_TROUBLE = {Role.REPORTER, Role.FAULT_ENTRY, Role.OBSERVER, Role.INTERRUPT_ENTRY}


def kind_class(crash: Crash) -> str:
    """The coarse kind that the exact key takes: the kind itself where no class holds it."""
    return _CLASS_OF.get(crash.kind, str(crash.kind))


def significant(crash: Crash) -> tuple[Frame, ...]:
    """The frames of ``crash`` that say something about its bug, innermost first."""
    return tuple(frame for frame in _own(crash) if role(frame.function or "") is None)


def fingerprint(crash: Crash) -> Fingerprint:
    """The keys of ``crash``.

    ``exact`` is right to merge on. ``keys`` are for ranking and for people: ``class`` (the coarse
    kind), ``function`` (the first significant one), ``stack`` (a hash of all significant frames).
    """
    own = _own(crash)
    guilty = [frame for frame in own if role(frame.function or "") is None]
    names = _names(guilty)
    kind = kind_class(crash)
    if any(frame.function == "sysrq_handle_crash" for frame in own):
        # A crash on request. The handler wrote to NULL, and the report was of a NULL dereference,
        # until it called panic() ("sysrq: Use panic() to force a crash", 2019).
        kind, names = str(Kind.OPERATOR_SYSRQ), ["sysrq_handle_crash"]
        exact = [kind]
    elif len(names) >= ENOUGH:
        exact = [kind, *names[:DEPTH]]
    elif own:
        rest = [frame for frame in own if role(frame.function or "") is not Role.BOTTOM]
        exact = [kind, *_names(rest, modules=True)[: 2 * DEPTH]]
        if crash.kind not in _OBSERVED:
            exact.append(f"release {crash.release if not names else _series(crash.release)}")
    else:
        itself = to_json(msgspec.structs.replace(crash, fingerprint=None))
        exact = [kind, f"title {crash.title}", f"release {crash.release or itself}"]
    # Two stacks make a race; the frames are of one, the title names both.
    if crash.kind is Kind.DATA_RACE:
        exact.append(f"title {crash.title}")
    exact.extend(sorted({said for frame in crash.frames if (said := _said_by(frame))}))
    keys = {"class": kind}
    if names:
        keys["function"] = names[0]
        keys["stack"] = _hash([kind, *names])
    return Fingerprint(version=VERSION, exact=_hash(exact), keys=keys)


def _series(release: str | None) -> str | None:
    """``5.10`` of ``5.10.0-28-amd64``: builds of one kernel keep what little there is."""
    return ".".join(release.split(".")[:2]) if release else None


def _own(crash: Crash) -> list[Frame]:
    """The frames of the trouble itself: without those who report it and whom it interrupted."""
    found: list[Frame] = []
    for frame in _from_the_trouble_on(crash, _usable(crash)):
        what = role(frame.function or "")
        if what is Role.INTERRUPT_ENTRY and found:
            break
        if what not in _ABOVE_THE_TROUBLE:
            found.append(frame)
    return found


def outwards(crash: Crash) -> Sequence[Frame]:
    """All frames from the trouble outwards, inlined ones included, for ranking."""
    frames = [frame for frame in crash.frames if frame.function and frame.reliable]
    return _from_the_trouble_on(crash, frames or [f for f in crash.frames if f.function])


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
                while index and frames[index - 1].inline:
                    index -= 1
                return frames[index + _detecting(frames[index:], crash) :]
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
    # A dump's frames may begin with helpers of a reporter: panic() ends in mdelay().
    end = 0
    for number, what in enumerate(roles):
        if what is None:
            break
        if what in _ABOVE_THE_TROUBLE:
            end = number + 1
    return end


def _detecting(frames: Sequence[Frame], crash: Crash) -> int:
    """How many of the innermost frames are of a watchdog that was printing when it was looked at.

    A slow console makes a CPU that reports a stall look like one that loops in the serial driver.
    """
    if crash.kind in _OBSERVED:
        detecting = False
        for number, frame in enumerate(frames):
            name = frame.function or ""
            detecting |= _DETECTOR.match(name) is not None
            if role(name) is Role.INTERRUPT_ENTRY:
                return number if detecting else 0
    return 0


def _names(frames: Iterable[Frame], *, modules: bool = False) -> list[str]:
    names = [
        normalise(frame.function or "") + (f" [{frame.module}]" if modules and frame.module else "")
        for frame in frames
    ]
    # How deep a recursion went is chance.
    return [name for name, _ in groupby(names)]


def _said_by(frame: Frame) -> str | None:
    function = frame.function or ""
    return next((what for prefix, what in _SAID_BY if function.startswith(prefix)), None)


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
