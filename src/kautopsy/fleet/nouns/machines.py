"""Hosts: their boots, their readiness, their drills."""

from __future__ import annotations

from kautopsy.fleet.nouns.groups import GroupRow, Note
from kautopsy.fleet.nouns.words import Ending
from kautopsy.model.base import Noun
from kautopsy.model.drill import DrillRecord
from kautopsy.model.readiness import DoctorDocument


class HostRow(Noun, frozen=True, kw_only=True):
    """A host as a list shows it.

    :param ready: None where nobody could tell, or nobody asked (then ``ready_at`` is None too)
    :param silent: boots that ended without a shutdown and without a crash
    """

    name: str
    model: str
    firmware: str
    cpu: str
    first_seen: float
    last_seen: float
    ready: bool | None
    ready_at: float | None
    crashes: int
    deaths: int
    silent: int


class HostPage(Noun, frozen=True, kw_only=True):
    """Some of the hosts, and how many there are in all."""

    total: int
    hosts: tuple[HostRow, ...]


class BootRow(Noun, frozen=True, kw_only=True):
    """A boot of a host."""

    boot_key: str
    release: str
    started: float
    last_seen: float
    ending: Ending


class ReadinessRow(Noun, frozen=True, kw_only=True):
    """One answer of the doctor about one host."""

    host: str
    at: float
    reached: bool
    ready: bool | None
    reason: str


class DrillRow(Noun, frozen=True, kw_only=True):
    """A drill as a list shows it."""

    id: int
    host: str
    at: float
    passed: bool
    failed_stage: str
    detail: str
    nonce: str


class HostDetail(Noun, frozen=True, kw_only=True):
    """Everything of one host but the list of its crashes."""

    host: HostRow
    attributes: tuple[tuple[str, str], ...]
    groups: tuple[GroupRow, ...]
    boots: tuple[BootRow, ...]
    readiness: tuple[ReadinessRow, ...]
    doctor: DoctorDocument | None
    drills: tuple[DrillRow, ...]
    notes: tuple[Note, ...]


class Reason(Noun, frozen=True, kw_only=True):
    """A check that fails on some hosts."""

    check: str
    status: str
    hosts: int
    example: str
    fix: str


class ReadinessSummary(Noun, frozen=True, kw_only=True):
    """The fleet's readiness: each host counts with its newest answer.

    :param unasked: hosts that are known and were never asked
    :param silent: boots of the last 30 days that ended without a shutdown and without a crash, on
        ``silent_hosts`` hosts
    :param endings_unknown: boots of the last 30 days of which nobody can tell
    """

    hosts: int
    ready: int
    not_ready: int
    unknown: int
    unreached: int
    unasked: int
    reasons: tuple[Reason, ...]
    silent: int
    silent_hosts: int
    crashed: int
    endings_unknown: int


class DrillDetail(Noun, frozen=True, kw_only=True):
    """A drill with its record."""

    drill: DrillRow
    record: DrillRecord
