"""What is being done, by whom, and what is answered to those who send."""

from __future__ import annotations

from typing import Literal

from kautopsy.fleet.nouns.words import Answer, Outcome, Role
from kautopsy.model.base import Noun


class JobRow(Noun, frozen=True, kw_only=True):
    """The analysis of one dump."""

    id: int
    source_id: int
    name: str
    host: str
    analysis: str
    state: str
    attempts: int
    outcome: Outcome | None
    detail: str
    created: float
    finished: float | None
    seconds: float | None


class Count(Noun, frozen=True, kw_only=True):
    """How many of what."""

    name: str
    count: int


class FleetStatus(Noun, frozen=True, kw_only=True):
    """``kautopsy fleet status --json``: what there is, what is being done, what failed.

    :param outdated: crashes whose key is of an older recipe: new ones do not join their groups
        until ``fleet reanalyse``
    """

    schema: Literal["kautopsy.fleet-status/1"] = "kautopsy.fleet-status/1"
    database: str
    revision: str
    hosts: int
    crashes: int
    deaths: int
    groups: tuple[Count, ...]
    sources: tuple[Count, ...]
    jobs: tuple[Count, ...]
    outcomes: tuple[Count, ...]
    failed: tuple[JobRow, ...]
    stored_bytes: int
    silent: int
    outdated: int


class Account(Noun, frozen=True, kw_only=True):
    """A person."""

    id: int
    name: str
    role: Role
    email: str
    active: bool
    created: float
    last_login: float | None


class Session(Noun, frozen=True, kw_only=True):
    """A person who is logged in."""

    account: Account
    csrf: str
    expires: float


class TokenRow(Noun, frozen=True, kw_only=True):
    """A token, without what it is: only its hash is kept."""

    id: int
    name: str
    role: Role
    host: str
    created_by: str
    created: float
    expires: float | None
    revoked: float | None
    last_used: float | None


class AuditRow(Noun, frozen=True, kw_only=True):
    """Who did what to what."""

    id: int
    at: float
    who: str
    action: str
    subject: str
    detail: str
    address: str


class Notice(Noun, frozen=True, kw_only=True):
    """Something to tell people: ``kind`` is ``new-group`` or ``regression``."""

    id: int
    kind: str
    group_id: int
    title: str
    crash_id: int | None
    host: str
    release: str
    at: float
    attempts: int


class Upload(Noun, frozen=True, kw_only=True):
    """A file on its way in; ``offset`` bytes of ``size`` have arrived."""

    id: str
    host: str
    name: str
    size: int
    offset: int
    sha256: str
    state: str
    detail: str
    source_id: int | None


class Intake(Noun, frozen=True, kw_only=True):
    """The server's answer to a report: what it knows of the crash, and whether it wants the dump.

    :param group_id: None where the report holds no crash
    """

    schema: Literal["kautopsy.intake/1"] = "kautopsy.intake/1"
    answer: Answer
    crash_id: int | None
    group_id: int | None
    title: str
    why: str
    new_crashes: int = 0


class Stored(Noun, frozen=True, kw_only=True):
    """How many crashes a batch brought, and how many of them were new to the store."""

    seen: int
    new: int
    new_groups: int
    regressions: int


class Moved(Noun, frozen=True, kw_only=True):
    """Crashes that went from one group to another when groups were computed anew."""

    from_group: int
    from_title: str
    to_group: int
    to_title: str
    crashes: int


class Reanalysis(Noun, frozen=True, kw_only=True):
    """``kautopsy fleet reanalyse --json``: what was analysed anew, and what moved."""

    schema: Literal["kautopsy.fleet-reanalysis/1"] = "kautopsy.fleet-reanalysis/1"
    analysis: str
    outcomes: tuple[Count, ...]
    moved: tuple[Moved, ...]


class SkippedFile(Noun, frozen=True, kw_only=True):
    """A file that was not taken in, and why."""

    path: str
    why: str


class Ingested(Noun, frozen=True, kw_only=True):
    """``kautopsy fleet ingest --json``.

    :param unchanged: files that had been taken in before
    :param answers: of the doctor, and drills
    :param outcomes: of the dumps that were analysed
    """

    schema: Literal["kautopsy.fleet-ingest/1"] = "kautopsy.fleet-ingest/1"
    files: int
    unchanged: int
    crashes: int
    new_crashes: int
    new_groups: int
    regressions: int
    dumps: int
    answers: int
    outcomes: tuple[Count, ...]
    skipped: tuple[SkippedFile, ...]
