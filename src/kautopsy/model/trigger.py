"""A machine that shall be panicked: in which ways that can be, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from kautopsy.model.base import Noun


class WayReport(Noun, frozen=True, kw_only=True):
    """One way to panic a machine.

    :param what: what would be done, as a command or a call
    :param possible: None if nobody could ask
    :param why: what speaks for or against it
    :param obeyed: whether the machine's kernel would panic; None if nobody could ask
    :param obeyed_why: the settings that say so, and the fix
    """

    name: str
    what: str
    possible: bool | None
    why: str
    obeyed: bool | None
    obeyed_why: str


class ConsoleEventKind(StrEnum):
    """What a console's line tells of a machine that dies and is saved."""

    NMI_RECEIVED = "nmi-received"
    NMI_IGNORED = "nmi-ignored"
    SYSRQ = "sysrq"
    PANIC = "panic"
    CAPTURE_BOOTED = "capture-kernel-booted"
    SAVING = "saving"
    SAVED = "saved"
    SAVE_FAILED = "save-failed"
    REBOOTING = "rebooting"
    FIRMWARE = "firmware"
    BOOTED = "booted"
    LOGIN = "login"
    LOST = "console-lost"


class ConsoleEvent(Noun, frozen=True, kw_only=True):
    """Something a console told.

    :param seconds: since the console was opened
    :param line: the console's own words, cut to a sane length
    :param detail: in short: the panic's title, the reason of a failure
    :param percent: of makedumpfile's progress
    """

    kind: ConsoleEventKind
    seconds: float
    line: str
    detail: str = ""
    percent: float | None = None


class TriggerDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy trigger --json``.

    :param fired: False for a dry run or ``--explain``
    :param refused: of a dry run: why it would not be done
    :param confirmed: the machine panicked (its console says so, or it came back with another boot
        id); None if nothing was fired or nobody watched
    :param record: the file in which it was written down before it was done
    """

    schema: Literal["kautopsy.trigger/1"] = "kautopsy.trigger/1"
    host: str
    nodename: str | None
    via: str | None
    fired: bool
    refused: str | None = None
    confirmed: bool | None = None
    ready: bool | None = None
    ways: tuple[WayReport, ...] = ()
    notes: tuple[str, ...] = ()
    events: tuple[ConsoleEvent, ...] = ()
    console_log: str | None = None
    record: str | None = None


class TriggerRecord(Noun, frozen=True, kw_only=True):
    """Who panicked what, when and how: on disk before it is done.

    :param when: seconds since 1970, by the clock here
    :param machine_clock: by the machine's clock, if it answered
    :param boot_id: of the boot that was ended, if it answered
    :param captures: paths of the dumps that were there before, if it answered
    :param console: the file in which its console is recorded
    :param outcome: what came of it, once that is known
    """

    schema: Literal["kautopsy.trigger-record/1"] = "kautopsy.trigger-record/1"
    host: str
    nodename: str
    via: str
    what: str
    who: str
    when: float
    proof: str
    machine_clock: int | None = None
    boot_id: str | None = None
    nonce: str | None = None
    ready: bool | None = None
    captures: tuple[str, ...] | None = None
    console: str | None = None
    outcome: str = ""
