"""What a crash left on a machine, and what of it came home."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from kautopsy.model.base import Noun
from kautopsy.model.readiness import Check


class Producer(StrEnum):
    """Who saved a dump, told by how its folder looks."""

    DRACUT = "dracut"
    """kdump.sh of RHEL 7 and later and Fedora: vmcore-dmesg.txt, since el8 kexec-dmesg.log."""
    MKDUMPRD = "mkdumprd"
    """kexec-tools of RHEL 6: the same folder, and only the vmcore in it."""
    KDUMP_TOOLS = "kdump-tools"
    """Debian and Ubuntu: STAMP/dump.STAMP and dmesg.STAMP."""
    SUSE = "suse-kdump"
    """README.txt, vmcore, dmesg (or dmesg.txt)."""
    OTHER = "other"


class CaptureState(StrEnum):
    """How far the producer came, by its names and its own status."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """Under a name that says so, or with a status that says that it failed."""
    RUNNING = "running"
    """Under a name that says so, and it grew while we looked."""
    LOG_ONLY = "log-only"
    """The kernel's log was saved, and no dump."""


class Capture(Noun, frozen=True, kw_only=True):
    """One folder, or one file, that a crash left behind; paths are the machine's.

    :param dump: the dump, None where only a log was saved
    :param size: of the dump, bytes
    :param when: the dump's mtime (or the log's), seconds since 1970 by the machine's clock
    :param log: the dead kernel's log beside it
    :param status: the producer's own words on how it went
    :param files: everything that belongs to it, the dump included
    :param host: the machine it lies on, where that is not the one that died
    """

    folder: str
    producer: Producer
    state: CaptureState
    when: int
    dump: str | None = None
    size: int = 0
    log: str | None = None
    status: str = ""
    files: tuple[str, ...] = ()
    host: str = ""


class Witness(Noun, frozen=True, kw_only=True):
    """What tells of a crash where there is no dump.

    :param kind: ``pstore``, ``sel`` or ``console``
    :param where: a path of the machine, or what was asked
    :param title: what the text engine calls the crash that it tells of
    """

    kind: str
    where: str
    text: str
    title: str = ""


class Fetched(Noun, frozen=True, kw_only=True):
    """A file that came home.

    :param resumed_at: bytes that were there from an earlier try
    """

    path: str
    source: str
    size: int
    sha256: str
    resumed_at: int = 0
    seconds: float = 0.0


class Collected(Noun, frozen=True, kw_only=True):
    """A capture at home: its dump is verified unless a check says otherwise."""

    capture: Capture
    folder: str
    dump: str | None = None
    files: tuple[Fetched, ...] = ()
    checks: tuple[Check, ...] = ()


class CollectDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy collect --json``."""

    schema: Literal["kautopsy.collect/1"] = "kautopsy.collect/1"
    host: str
    found: tuple[Capture, ...] = ()
    collected: tuple[Collected, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    notes: tuple[str, ...] = ()
