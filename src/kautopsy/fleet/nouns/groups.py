"""Groups, and crashes as lists show them."""

from __future__ import annotations

from enum import StrEnum

from kautopsy.fleet.nouns.words import GroupState, Weight
from kautopsy.model.base import Noun


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
