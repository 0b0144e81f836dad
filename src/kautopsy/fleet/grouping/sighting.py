"""A crash as intake hands it in: who crashed, when, on what, and who tells of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Kind
from kautopsy.model.report import Report

# drivers/firmware/dmi/dmi_scan.c, dmi_format_ids(): "VENDOR PRODUCT/BOARD, BIOS VERSION DATE".
_HARDWARE = re.compile(r"^(?P<model>.*?)(?:/[^/,]*)?(?:, BIOS (?P<firmware>.*?))?\s*$")
_LIVEPATCH = re.compile(r"^(?:kpatch|livepatch|klp|ksplice)[_-]", re.IGNORECASE)
# Of the command line, what differs by nature from host to host says nothing.
_OF_ONE_HOST = re.compile(r"^(?:root|resume|BOOT_IMAGE|initrd|ip|rd\.|ostree|hostname|ifname)\b")
_MOST_ATTRIBUTES = 400

# Reports after which a kernel goes on, unless it was told to panic.
_SURVIVED = frozenset(
    {
        Kind.WARNING,
        Kind.LOCK_MISUSE,
        Kind.DATA_RACE,
        Kind.MEMORY_LEAK,
        Kind.MEMORY_SAFETY,
        Kind.REFCOUNT,
        Kind.ATOMIC_SLEEP,
        Kind.SOFT_LOCKUP,
        Kind.RCU_STALL,
        Kind.HUNG_TASK,
        Kind.WORKQUEUE_STALL,
        Kind.OUT_OF_MEMORY,
    }
)
_NOT_FATAL_TRIGGERS = frozenset(
    {None, "soft-lockup", "out-of-memory", "oops", "machine-check", "hung-task"}
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known of the machine besides the crash; empty where it is not.

    :param cpu: family, model and stepping, as the kernel prints them at boot
    :param cmdline: words of the kernel's command line
    """

    model: str = ""
    firmware: str = ""
    cpu: str = ""
    cmdline: tuple[str, ...] = ()
    livepatches: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One crash from one source.

    :param host: name; empty where nobody knows
    :param at: seconds since 1970; None where nothing tells
    :param fallback_at: when the file was written or came in
    :param origin: ``dump``, ``report`` or ``log``
    :param stream: names its log, where nothing tells when it happened (the log may grow)
    :param ordinal: how many reports like it stood before it there
    :param report: the whole report, from a dump or from a host's own kautopsy
    """

    crash: Crash
    host: str
    at: float | None
    fallback_at: float
    origin: str
    source_id: int | None = None
    build_id: str = ""
    arch: str = ""
    machine: Machine = Machine()
    stream: str = ""
    ordinal: int = 0
    report: Report | None = None

    @property
    def uptime(self) -> float | None:
        """Seconds since boot: of the report's own stamp, or of the dump."""
        if self.crash.uptime_seconds is not None:
            return self.crash.uptime_seconds
        system = self.report.system if self.report is not None else None
        up = system.uptime_seconds if system is not None else None
        return None if isinstance(up, Unreadable) else up

    @property
    def fatal(self) -> bool:
        """Whether it ended the machine, as far as can be told."""
        return self.origin != "log" or is_fatal(self.crash)


def is_fatal(crash: Crash) -> bool:
    """Whether the text of ``crash`` says that the machine did not survive it."""
    if crash.follow_ups:
        return True
    if crash.trigger not in _NOT_FATAL_TRIGGERS:
        return True
    return crash.kind not in _SURVIVED and crash.trigger == "oops"


def machine_of(crash: Crash) -> Machine:
    """What the text of a crash tells of its machine."""
    livepatches = tuple(name for name in crash.modules if _LIVEPATCH.match(name))
    return replace(hardware_of(crash.hardware), livepatches=livepatches)


def hardware_of(words: str | None) -> Machine:
    """Model and firmware, of the kernel's "Hardware name"."""
    match = _HARDWARE.match(words or "")
    return Machine(
        model=(match["model"] or "").strip() if match else "",
        firmware=(match["firmware"] or "").strip() if match else "",
    )


def attributes(sighting: Sighting) -> tuple[tuple[str, str], ...]:
    """What may set the machine of a crash apart: (kind, value), sorted."""
    crash = sighting.crash
    return machine_attributes(
        sighting.machine,
        modules=crash.modules,
        release=crash.release or "",
        tainted=crash.tainted,
    )


def machine_attributes(
    machine: Machine,
    *,
    modules: Iterable[str] = (),
    release: str = "",
    tainted: Iterable[str] = (),
) -> tuple[tuple[str, str], ...]:
    """What may set a machine apart: (kind, value), sorted."""
    found = {("module", name) for name in modules}
    found |= {("taint", letter) for letter in tainted}
    found |= {("livepatch", name) for name in machine.livepatches}
    found |= {("command line", word) for word in machine.cmdline if not _OF_ONE_HOST.match(word)}
    for kind, value in (
        ("model", machine.model),
        ("firmware", machine.firmware),
        ("cpu", machine.cpu),
        ("kernel", release),
    ):
        if value:
            found.add((kind, value))
    return tuple(sorted(found))[:_MOST_ATTRIBUTES]


def time_of(report: Report) -> float | None:
    """When the machine of ``report`` crashed."""
    at = report.system.crash_time if report.system is not None else None
    return None if at is None or isinstance(at, Unreadable) else at
