"""What the store answers with, and what it is told: frozen structs, JSON in and out.

Times are seconds since 1970 (UTC). A number that ends in ``_id`` is a row's; a host is known by its
name, a group and a crash by their numbers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from kautopsy.model.base import Noun
from kautopsy.model.crash import Crash
from kautopsy.model.drill import DrillRecord
from kautopsy.model.readiness import DoctorDocument
from kautopsy.model.report import Report


class Outcome(StrEnum):
    """How the analysis of a dump ended."""

    OK = "ok"
    OOM = "oom"
    """It needed more memory than it may have, or the kernel's OOM killer took it."""
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    """A signal ended it: the detail names which."""
    UNREADABLE = "unreadable"
    """The dump cannot be read: truncated, no dump, of an unknown kernel."""
    QUARANTINED = "quarantined"
    """Two tries were lost without an answer: nobody tries again until asked to."""


class SourceKind(StrEnum):
    """What came in."""

    DUMP = "dump"
    LOG = "log"
    REPORT = "report"
    """A document of ``kautopsy report --json``: what a host's own kautopsy says of its dump."""
    OOPS = "oops"
    """Documents of ``kautopsy oops --json`` or ``--jsonl``."""
    DOCTOR = "doctor"
    DRILL = "drill"


class GroupState(StrEnum):
    """What people think of a group."""

    NEW = "new"
    KNOWN = "known"
    FIXED = "fixed"
    """In the releases of ``fixed_in``; seen there again it becomes new."""
    IGNORED = "ignored"
    """Until ``ignored_until``, or for good."""


class Role(StrEnum):
    """What an account or a token may do; each may what those before it may."""

    HOST = "host"
    """Send reports and dumps of one host, and read nothing."""
    VIEWER = "viewer"
    TRIAGER = "triager"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where ``needed`` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Answer(StrEnum):
    """What a host is told of the crash it reported."""

    KNOWN = "known"
    NEW = "new"
    WANT_FULL_DUMP = "want-full-dump"


class Ending(StrEnum):
    """How a boot ended."""

    RUNNING = "running"
    CLEAN = "clean"
    """Somebody shut it down."""
    CRASHED = "crashed"
    """And told of it: there is a crash."""
    SILENT = "silent"
    """It neither shut down nor left a crash: the machine died and nothing tells of it."""
    UNKNOWN = "unknown"
    """The machine keeps no record by which to tell."""


# --- groups -------------------------------------------------------------------------------------


class GroupRow(Noun, frozen=True, kw_only=True):
    """A group as a list shows it.

    :param harm: 10 for every death of a machine and 1 for every report that it survived, over the
        last 30 days
    :param rate: crashes per 1,000 host-days since the group was first seen; None without hosts
    :param regressed_at: when it was seen again after its fix
    """

    id: int
    title: str
    kind: str
    state: GroupState
    owner: str
    fixed_in: str
    ignored_until: float | None
    regressed_at: float | None
    first_seen: float
    last_seen: float
    crashes: int
    deaths: int
    hosts: int
    builds: int
    harm: int
    rate: float | None = None


class GroupSort(StrEnum):
    """By what groups are ranked, the largest first."""

    HARM = "harm"
    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"
    CRASHES = "crashes"
    HOSTS = "hosts"


class GroupFilter(Noun, frozen=True, kw_only=True):
    """Which groups; several conditions must all hold.

    :param state: any of these; none: all but those that are ignored or fixed
    :param all_states: every state
    :param text: stands in the title, a frame's function or module, or a note
    :param host: name of a host that it hit
    :param release: of a kernel that it hit
    """

    state: tuple[GroupState, ...] = ()
    all_states: bool = False
    kind: str = ""
    owner: str = ""
    text: str = ""
    function: str = ""
    module: str = ""
    host: str = ""
    release: str = ""
    sort: GroupSort = GroupSort.HARM
    limit: int = 50
    offset: int = 0


class GroupPage(Noun, frozen=True, kw_only=True):
    """Some of the groups, and how many there are in all."""

    total: int
    groups: tuple[GroupRow, ...]


class SignatureRow(Noun, frozen=True, kw_only=True):
    """One of the keys that make a group, and why it belongs there.

    :param scheme: ``exact`` (the fingerprint), ``cause`` (the verdict's key), ``manual``
    :param frames: the functions that the key is made of
    """

    id: int
    scheme: str
    key: str
    title: str
    crashes: int
    why: str
    by: str
    frames: tuple[str, ...] = ()


class GroupHost(Noun, frozen=True, kw_only=True):
    """A host that a group hit."""

    name: str
    model: str
    firmware: str
    crashes: int
    first_seen: float
    last_seen: float


class GroupBuild(Noun, frozen=True, kw_only=True):
    """A kernel that a group hit."""

    release: str
    build_id: str
    arch: str
    crashes: int
    first_seen: float
    last_seen: float


class Day(Noun, frozen=True, kw_only=True):
    """Crashes of one day; ``day`` is the second at which it begins."""

    day: float
    crashes: int
    deaths: int


class Similar(Noun, frozen=True, kw_only=True):
    """A group that is probably the same bug, and why."""

    group_id: int
    title: str
    state: GroupState
    crashes: int
    score: float
    why: tuple[str, ...]


class Note(Noun, frozen=True, kw_only=True):
    """What somebody wrote."""

    id: int
    text: str
    by: str
    at: float


class Link(Noun, frozen=True, kw_only=True):
    """An address: a bug tracker, a commit."""

    id: int
    url: str
    label: str
    by: str
    at: float


class Decision(Noun, frozen=True, kw_only=True):
    """What a person decided about two crashes; it stays when groups are computed anew.

    :param kind: ``same`` (merged), ``different`` (never merge, nor call probably the same),
        ``apart`` (taken out of its group)
    """

    id: int
    kind: str
    one_crash: int | None
    other_crash: int | None
    why: str
    by: str
    at: float


class CrashRow(Noun, frozen=True, kw_only=True):
    """A crash as a list shows it.

    :param at_known: False: nothing told when; ``at`` is when its file was written or came in
    :param origin: the best that tells of it: ``dump``, ``report`` (a host's own), ``log``
    :param fatal: it ended the machine
    """

    id: int
    group_id: int
    host: str
    release: str
    at: float
    at_known: bool
    origin: str
    kind: str
    title: str
    trigger: str
    fatal: bool
    corrupted: bool
    function: str
    module: str
    comm: str
    uptime: float | None
    exemplar: bool


class Weight(StrEnum):
    """What a bug follows."""

    HARDWARE = "hardware"
    PLATFORM = "platform"
    KERNEL = "kernel"
    UNDECIDED = "undecided"


class Association(Noun, frozen=True, kw_only=True):
    """An attribute and a group, counted over hosts, and Fisher's exact test (one-sided: more).

    ``in_group`` of ``group_hosts`` hosts that the group hit have it, and ``in_rest`` of
    ``rest_hosts`` other hosts. ``q`` is ``p`` after Benjamini and Hochberg's correction for the
    number of attributes that were looked at.
    """

    kind: str
    value: str
    in_group: int
    group_hosts: int
    in_rest: int
    rest_hosts: int
    p: float
    q: float
    odds: float | None = None
    """None: infinite, no host of the rest has it."""


class Attribution(Noun, frozen=True, kw_only=True):
    """What a group follows: a host, a model, a kernel; with the counts behind the word.

    :param why: in sentences with their numbers
    :param tests: how many attributes were tested
    """

    follows: Weight
    what: str
    why: tuple[str, ...]
    unusual: tuple[Association, ...] = ()
    tests: int = 0
    correction: str = "Benjamini-Hochberg"


class GroupDetail(Noun, frozen=True, kw_only=True):
    """Everything of one group but the list of its crashes.

    :param redirected_from: it was asked for under the number of a group merged into it
    """

    group: GroupRow
    signatures: tuple[SignatureRow, ...]
    hosts: tuple[GroupHost, ...]
    builds: tuple[GroupBuild, ...]
    days: tuple[Day, ...]
    exemplars: tuple[CrashRow, ...]
    similar: tuple[Similar, ...]
    notes: tuple[Note, ...]
    links: tuple[Link, ...]
    decisions: tuple[Decision, ...]
    redirected_from: int | None = None


class CrashPage(Noun, frozen=True, kw_only=True):
    """Some of the crashes, and how many there are in all."""

    total: int
    crashes: tuple[CrashRow, ...]


# --- crashes ------------------------------------------------------------------------------------


class SourceRow(Noun, frozen=True, kw_only=True):
    """A file that came in. ``path`` is empty where its bytes were not kept."""

    id: int
    content: str
    kind: SourceKind
    name: str
    path: str
    host: str
    size: int
    received: float
    state: str
    detail: str


class ReportRow(Noun, frozen=True, kw_only=True):
    """A report by one version of the analysis."""

    id: int
    analysis: str
    made: float
    verdict_kind: str
    verdict_title: str
    confidence: float | None
    symbols: str


class CrashDetail(Noun, frozen=True, kw_only=True):
    """Everything of one crash.

    :param document: the crash itself; None where retention dropped it
    :param report: the newest report; made from ``document`` where there was no dump
    """

    crash: CrashRow
    group: GroupRow
    document: Crash | None
    report: Report | None
    reports: tuple[ReportRow, ...]
    source: SourceRow | None
    attributes: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]


class Difference(Noun, frozen=True, kw_only=True):
    """A field in which two crashes differ, or in which they are the same."""

    field: str
    one: str
    other: str
    same: bool


class FrameRow(Noun, frozen=True, kw_only=True):
    """A row of two backtraces side by side: what is in one only leaves the other empty."""

    one: str
    other: str
    same: bool


class CrashDiff(Noun, frozen=True, kw_only=True):
    """Two crashes side by side.

    :param why: what they share, in the words of the ranking, with its score
    """

    one: CrashRow
    other: CrashRow
    fields: tuple[Difference, ...]
    frames: tuple[FrameRow, ...]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]
    score: float
    why: tuple[str, ...]


# --- hosts, readiness, drills -------------------------------------------------------------------


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


class DrillRow(Noun, frozen=True, kw_only=True):
    """A drill as a list shows it."""

    id: int
    host: str
    at: float
    passed: bool
    failed_stage: str
    detail: str
    nonce: str


class DrillDetail(Noun, frozen=True, kw_only=True):
    """A drill with its record."""

    drill: DrillRow
    record: DrillRecord


# --- search, work, people -----------------------------------------------------------------------


class SearchHit(Noun, frozen=True, kw_only=True):
    """Something that was found: ``kind`` is group, host, crash, function or module."""

    kind: str
    id: int | None
    name: str
    detail: str
    count: int


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
    """``kautopsy fleet status --json``: what there is, what is being done, what failed."""

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


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """How many crashes a batch brought, and how many of them were new to the store."""

    seen: int
    new: int
    new_groups: int
    regressions: int
