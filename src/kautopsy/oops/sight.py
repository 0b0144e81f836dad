"""What one line shows by itself, whatever stands around it; looked at once.

Most lines of a report are frames in the kernel's own plain form, and the same ones stand in many
reports: they are told by one pattern and remembered. For every other line one pass of a
multi-pattern search says which patterns are worth trying at all.
"""

from __future__ import annotations

from functools import cache, lru_cache

import msgspec
from ahocorasick_rs import AhoCorasick, Implementation

from kautopsy.model.crash import Frame
from kautopsy.oops.frames import frame_alone

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

_WORDS: dict[int, tuple[str, ...]] = {
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
    BYSTANDER: ("kthread stack dump",),
    GOODBYE: (
        "eboot",
        "estarting system",
        "ower down",
        "ystem halted",
        "systemd-shutdown",
        "tarting new kernel",
        "kexec_core: Starting",
    ),
}
REMEMBERED = 4096
"""Lines whose sight is kept, none longer than :data:`SHORT`: some megabytes at most."""
SHORT = 120


class Sight(msgspec.Struct, frozen=True):
    """What a line shows.

    :param frame: the line is this frame of a backtrace and nothing else
    :param cues: which patterns are worth trying: ``END`` and so on
    """

    frame: Frame | None
    cues: int = 0


@cache
def _automaton() -> tuple[AhoCorasick, list[int]]:
    words = [(word, cue) for cue, some in _WORDS.items() for word in some]
    found = AhoCorasick([word for word, _ in words], implementation=Implementation.DFA)
    return found, [cue for _, cue in words]


def look(text: str) -> Sight:
    """What ``text``, a line without its prefix, shows."""
    return _remembered(text) if len(text) <= SHORT else _look(text)


def _look(text: str) -> Sight:
    frame = frame_alone(text)
    if frame is not None:
        return Sight(frame)
    automaton, meanings = _automaton()
    cues = 0
    for index, _, _ in automaton.find_matches_as_indexes(text, overlapping=True):
        cues |= meanings[index]
    if text[:1] in ("=", "<"):  # a rule ends a report, as Xen's `<<<<<` does
        cues |= END
    if "#" in text:  # ` #8 [ffff88003c33dd60] page_fault at ffffffff8152aaf5` of crash(8)
        cues |= FRAME
    return Sight(None, cues)


_remembered = lru_cache(maxsize=REMEMBERED)(_look)
