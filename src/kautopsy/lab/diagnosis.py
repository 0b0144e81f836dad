"""Why did no dump come home? What a console says about a capture that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PANIC = re.compile(
    r"Kernel panic - not syncing|sysrq: (?:SysRq : )?Trigger a crash|^\[[ .0-9]+\]\s+BUG: "
    r"|Oops: |general protection fault"
)
CAPTURE_BOOTED = re.compile(r"\] Linux version \d")
# In an NMI, and with panic_on_oops, the capture kernel takes over before the console gets a word.
DEATH = re.compile(f"{PANIC.pattern}|{CAPTURE_BOOTED.pattern}")
_END_OF_PANIC = re.compile(r"---\[ end Kernel panic|Rebooting in \d+ seconds")
OUT_OF_MEMORY = re.compile(
    r"Out of memory|System is deadlocked on memory|page allocation failure|oom-kill"
    r"|write error|Initramfs unpacking failed"
)
_NO_IMAGE = re.compile(r"Unable to mount root fs|No working init found|Failed to execute /init")
_NO_SPACE = re.compile(r"No space left on device", re.IGNORECASE)


@dataclass(frozen=True)
class Diagnosis:
    """A reason in words, what to do, and the console line that proves it where one does."""

    reason: str
    hint: str
    proof: str = ""


def diagnose(lines: Sequence[str], *, crashkernel: str) -> Diagnosis:
    """Explain a capture that did not happen.

    :param lines: the console from the panic on
    :param crashkernel: what was reserved, as the command line said it
    """
    booted = next((i for i, line in enumerate(lines) if CAPTURE_BOOTED.search(line)), None)
    if booted is None:
        if any(_END_OF_PANIC.search(line) for line in lines):
            return Diagnosis(
                "the machine panicked and no capture kernel took over",
                "load one before the next crash: kexec -p, then"
                " /sys/kernel/kexec_crash_loaded must be 1",
            )
        return Diagnosis(
            "the capture kernel printed nothing",
            "give it a console= that exists, and look whether its image is this machine's",
        )
    after = lines[booted:]
    if proof := _first(OUT_OF_MEMORY, after):
        return Diagnosis(
            f"the capture kernel ran out of memory: crashkernel={crashkernel} is too small for it,"
            " though its image loads and the machine calls itself armed",
            "reserve more (crashkernel=256M), or make the capture image smaller",
            proof,
        )
    if proof := _first(_NO_IMAGE, after):
        return Diagnosis(
            "the capture kernel found nothing to run",
            "rebuild the capture image: it must hold an init",
            proof,
        )
    if any(_NO_SPACE.search(line) for line in after):
        return no_space()
    if proof := _first(PANIC, after[1:]):
        return Diagnosis("the capture kernel panicked itself", "read what it printed before", proof)
    return Diagnosis(
        "the capture kernel started and then fell silent",
        "its last console lines show how far it came: look at what it does next there",
    )


def no_space() -> Diagnosis:
    """The dump did not fit."""
    return Diagnosis(
        "the dump target is full (No space left on device); what was saved is incomplete",
        "make room on the target, or save less (a higher makedumpfile -d)",
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if pattern.search(line)), "")
