"""A fire drill: the record of one deliberate crash."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from kautopsy.model.base import Noun
from kautopsy.model.report import Report


class StageStatus(StrEnum):
    """How a stage of a drill ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not reached, because an earlier stage failed."""


class Stage(Noun, frozen=True, kw_only=True):
    """One stage; ``detail`` says what was seen, and on failure why and what to do."""

    name: str
    status: StageStatus
    seconds: float
    detail: str = ""


class DrillRecord(Noun, frozen=True, kw_only=True):
    """``kautopsy drill --json``.

    :param nonce: written to /dev/kmsg before the trigger; must be found in the dump's log
    :param dump: path of the vmcore that came home, None if none did
    :param host: what the operator called the machine
    :param nodename: what it calls itself
    :param via: how it was panicked
    :param when: when it was panicked, seconds since 1970, by the operator's clock
    :param release: of the kernel that ran
    :param state: in what state the machine was left, where the drill did not end in order
    """

    schema: Literal["kautopsy.drill/1"] = "kautopsy.drill/1"
    passed: bool
    stages: tuple[Stage, ...]
    nonce: str
    dump: str | None = None
    report: Report | None = None
    host: str | None = None
    nodename: str | None = None
    via: str | None = None
    when: float | None = None
    release: str | None = None
    who: str | None = None
    console_log: str | None = None
    state: str | None = None


class DrillNote(Noun, frozen=True, kw_only=True):
    """What the machine itself keeps of its last drill, in /var/lib/kautopsy/last-drill.json.

    :param when: seconds since 1970, by the operator's clock
    """

    schema: Literal["kautopsy.drill-note/1"] = "kautopsy.drill-note/1"
    passed: bool
    when: int
    release: str = ""
    via: str = ""
    who: str = ""
    nonce: str = ""
