"""The rehearsal itself: the machine's kernel boots in a guest, is panicked, and its capture kernel
saves that guest's memory from within the size that the machine reserves.

Nothing is faked on the way from the panic to the dump: the reservation, kexec, /proc/vmcore and
makedumpfile are the real ones. What stands in is the hardware, and a disk for the dump.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kautopsy.drill.rehearsal.baggage import Baggage
from kautopsy.drill.rehearsal.disk import make_disk, saved_dumps
from kautopsy.lab.config import GuestConfig, Limits
from kautopsy.lab.diagnosis import CAPTURE_BOOTED, OUT_OF_MEMORY, diagnose
from kautopsy.lab.errors import GuestLostError
from kautopsy.lab.guest import Guest, State, Way
from kautopsy.lab.kernels import GuestKernel
from kautopsy.lab.series import Series

# The first machine's own memory: what its kernel, and the initramfs with the other kernel, take.
_BESIDE_MIB = 640
_ROOT_UUID = "6b617574-6f70-4379-8265-686561727365"
_USERLAND_RUNS = re.compile(r"Run /\S*init as init process|systemd\[1\]: |dracut")
_FAILED = re.compile(
    r"failed to save vmcore|saving vmcore failed|makedumpfile Failed|Cannot open root device"
    r"|ALERT!.*does not exist|Kernel panic - not syncing|emergency (?:shell|mode)",
    re.IGNORECASE,
)
_QUIET_SECONDS = 60.0
_LAST_WORDS_SECONDS = 10.0


class Ending(StrEnum):
    """How far it came."""

    SAVED = "saved"
    BOOTED = "booted"
    """Its user space ran; saving could not be rehearsed."""
    NOT_LOADED = "not-loaded"
    NOT_BOOTED = "not-booted"
    NOT_SAVED = "not-saved"
    OUT_OF_MEMORY = "out-of-memory"


@dataclass(frozen=True)
class Outcome:
    """What was seen.

    :param mib: of the reservation
    :param detail: one sentence
    :param proof: the console's line
    :param console: all of it
    """

    ending: Ending
    mib: int
    seconds: float
    detail: str
    proof: str
    console: tuple[str, ...]


def rehearse(baggage: Baggage, mib: int, folder: Path) -> Outcome:
    """Do it with ``mib`` MiB reserved.

    :param folder: for the disk and the kernel's tree
    :raises GuestLostError: the first machine did not boot: nothing is known then
    :raises MissingToolError: the lab lacks a program
    """
    started = time.monotonic()
    disk = folder / "target.img"
    uuid = baggage.target or _ROOT_UUID
    make_disk(disk, baggage.userland, uuid)
    root = f" root=UUID={uuid} ro" if baggage.userland else ""
    target = (
        *("-drive", f"if=none,id=target,format=raw,cache=unsafe,file={disk}"),
        *(word for device in baggage.devices for word in ("-device", device)),
    )
    config = GuestConfig(
        _kernel(baggage, folder / "kernel"),
        memory_mib=mib + _BESIDE_MIB,
        crashkernel=f"{mib}M",
        modules=(),
        files={"rehearsal/vmlinuz": baggage.kernel, "rehearsal/initrd": baggage.initrd},
        capture_image=False,
        sink_mib=16,
        qemu=target,
    )
    with Guest(config) as guest:
        guest.transition(State.BOOTED)
        # The console that is recorded; and a capture kernel that dies shall not hang.
        append = f"{baggage.cmdline}{root} console=ttyS0,115200 panic=-1"
        done = guest.run(
            "kexec -p /rehearsal/vmlinuz --initrd=/rehearsal/initrd"
            f" --append={shlex.quote(append)}",
            check=False,
        )
        if done.status:
            words = " ".join(done.output.split())
            return _outcome(started, Ending.NOT_LOADED, mib, f"kexec: {words}", words, guest)
        guest.crash(Way.SYSRQ)
        _watch(guest, bool(baggage.why_not_saved))
        problem = baggage.why_not_saved or saved_dumps(disk, baggage.saves_to, folder)
        lines = guest.console.texts[guest.panic_line :]
        ending, detail, proof = _judge(lines, mib, problem, expected=not baggage.why_not_saved)
        return _outcome(started, ending, mib, detail, proof, guest)


def _watch(guest: Guest, only_boots: bool) -> None:
    """Follow the capture kernel until it reboots, which ends QEMU, or until it will not.

    :param only_boots: there is nothing to save to: it may wait for its target for ever
    """
    limits = guest.config.limits.patient()
    quiet = _QUIET_SECONDS * limits.boot / Limits().boot
    deadline = time.monotonic() + limits.capture_kernel + limits.save
    stuck = re.compile(f"{OUT_OF_MEMORY.pattern}|{_FAILED.pattern}")
    with contextlib.suppress(GuestLostError):  # what the console holds tells why
        guest.wait_for_console(CAPTURE_BOOTED, start=guest.panic_line, limit=limits.capture_kernel)
    start = (guest.console.find(CAPTURE_BOOTED, guest.panic_line) or guest.panic_line) + 1
    while not guest.console.closed and time.monotonic() < deadline:
        silent = guest.console.silent_seconds
        if silent > _LAST_WORDS_SECONDS and guest.console.find(stuck, start) is not None:
            return
        if silent > quiet and only_boots and guest.console.find(_USERLAND_RUNS, start) is not None:
            return
        time.sleep(0.5)


def _judge(lines: list[str], mib: int, problem: str, *, expected: bool) -> tuple[Ending, str, str]:
    """What happened, in a sentence, and the line that proves it.

    :param lines: the console from the panic on
    :param problem: why there is no whole dump; empty if there is one
    :param expected: a dump should be there
    """
    booted = next((i for i, line in enumerate(lines) if CAPTURE_BOOTED.search(line)), None)
    after = lines[booted + 1 :] if booted is not None else []
    if not problem:
        return Ending.SAVED, f"with {mib} MiB the capture kernel saves a whole dump", _last(lines)
    if proof := _first(OUT_OF_MEMORY, after):
        return Ending.OUT_OF_MEMORY, f"with {mib} MiB the capture kernel runs out of memory", proof
    if not (runs := _first(_USERLAND_RUNS, after)):
        said = diagnose(lines, crashkernel=f"{mib}M")
        proof = said.proof or _last(lines)
        return Ending.NOT_BOOTED, f"the capture kernel does not boot: {said.reason}", proof
    if not expected:
        detail = f"with {mib} MiB the capture kernel boots and runs its initrd; saving cannot be"
        return Ending.BOOTED, f"{detail} rehearsed: {problem}", runs
    proof = _first(_FAILED, after) or _last(lines)
    return Ending.NOT_SAVED, f"the capture kernel boots and saves no dump: {problem}", proof


def _outcome(
    started: float, ending: Ending, mib: int, detail: str, proof: str, guest: Guest
) -> Outcome:
    seconds = time.monotonic() - started
    return Outcome(ending, mib, seconds, detail, proof, tuple(guest.console.texts))


def _kernel(baggage: Baggage, root: Path) -> GuestKernel:
    """The machine's kernel as one of the lab's. The first machine saves nothing and drives no disk:
    what it would load counts as built in.
    """
    modules = root / "usr/lib/modules" / baggage.release
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch()
    (modules / "modules.builtin").write_text("virtio_pci.ko\nvirtio_blk.ko\n")
    (root / "boot").mkdir()
    (root / "boot" / f"vmlinuz-{baggage.release}").symlink_to(baggage.kernel.absolute())
    return GuestKernel(Series("rehearsal", ""), baggage.release, "", "", root)


def _first(pattern: re.Pattern[str], lines: list[str]) -> str:
    return next((line.strip() for line in lines if pattern.search(line)), "")


def _last(lines: list[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
