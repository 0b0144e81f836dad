"""What one line shows by itself, whatever stands around it: :func:`~kautopsy.oops.look.look`'s."""

from __future__ import annotations

import msgspec

from kautopsy.model.crash import Frame

END = 1 << 0
"""Words of which a line holds one that ends a report: the bits of :attr:`Sight.cues`."""
STACK = 1 << 1
NO_STACK = 1 << 2
FRAME = 1 << 3
CODE = 1 << 4
POINTER = 1 << 5
BELONGS = 1 << 6
FOREIGN = 1 << 7
BYSTANDER = 1 << 8
GOODBYE = 1 << 9
LITERAL = 1 << 10
"""It holds what the fast scan looks for (:data:`~kautopsy.oops.triggers.LITERALS`)."""
INNOCENT = 1 << 11
"""It holds what only lines say that look like a crash and are none."""
FAMILY = 1 << 12
"""It holds a word of the first family of reports; of the second, one bit further, and so on."""

DYING = frozenset(("panic", "vpanic", "oops_end", "die"))
"""Whose frame in a backtrace says that the kernel died, whatever was lost before it."""

WORDS: dict[int, tuple[str, ...]] = {
    END: ("---[ end", "Rebooting in ", "(XEN) "),
    STACK: ("all Trace", "all trace", "acktrace", "ack Trace", "ack trace", "Breaking-Event"),
    NO_STACK: ("stack is not available", "<no backtrace>"),
    FRAME: ("0x", "[inline]", "[<", ".c:", ".h:", ".S:", ".rs:"),
    CODE: ("Code", "Instruction dump"),
    POINTER: ("IP", "PC", "pc", "PSW", "era", "ERA", "IAOQ"),
    # what a report goes on with beside backtraces and facts: x86's mce/core.c and nmi.c
    BELONGS: ("[Hardware Error]: ", "strange power saving mode", "Dazed and confused"),
    FOREIGN: (
        "FAULT_INJECTION: forcing a failure",
        "FAULT_FLAG_ALLOW_RETRY missing",
        "allocation failure",
    ),
    BYSTANDER: ("kthread stack dump", "rcu_sched  ", "rcu_preempt  ", "rcu_bh  ", "task:rcu_"),
    GOODBYE: (
        "eboot",
        "estarting system",
        "ower down",
        "ystem halted",
        "systemd-shutdown",
        "tarting new kernel",
        "kexec_core: Starting",
        "machine restart",
        "q : Resetting",
        "q: Resetting",
        "q : Power Off",
        "q: Power Off",
        "eached target ",
        "ystem is going down",
        "equesting system ",
        "PM: suspend entry",
        "PM: Preparing system for",
        "PM: hibernation",
    ),
}


class Sight(msgspec.Struct, frozen=True, gc=False):
    """What a line shows.

    :param frames: the frames of a backtrace that stand on it
    :param alone: it is one frame in the plain form and nothing else
    :param cues: which patterns are worth trying: ``END`` and so on
    """

    frames: tuple[Frame, ...]
    alone: bool
    cues: int = 0
