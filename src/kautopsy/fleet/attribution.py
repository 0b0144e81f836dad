"""What a group follows: a host (hardware), a model or firmware (platform), or the kernel.

As people do it by hand: the same host again and again is its hardware; one model out of many is the
model or its firmware; all models on one build is the build. Behind each word stand the counts and
Fisher's exact test, one-sided, over hosts (a host that crashes a hundred times counts once, or one
bad machine would speak for its model). Of the many attributes that are looked at some stand out by
chance: ``q`` is the p-value after Benjamini and Hochberg (1995), and nothing is called unusual
beyond q = 0.05.

Compared is with all other hosts of which the attribute's kind is known: of those that crashed, from
their consoles; of the others, from the doctor's visits.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database, pack, unpack
from kautopsy.fleet.nouns import Association, Attribution, Weight
from kautopsy.fleet.queries.groups import resolve
from kautopsy.fleet.upsert import upsert
from kautopsy.model.crash import Kind

SIGNIFICANT = 0.05
_MOST_OF = 0.8
"""Of the group's hosts have what it is said to follow."""
_REPEATS = 3
"""Crashes of one host and no other that make hardware likely."""
_ENOUGH_HOSTS = 3
_SHOWN = 20
_Attribute = tuple[str, str]


@dataclass
class Counts:
    """Hosts by attribute, and by kind of attribute that is known of them."""

    hosts: int = 0
    attribute: Counter[_Attribute] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    def add(self, attributes: list[_Attribute], hosts: int) -> None:
        """Count hosts that are alike."""
        self.hosts += hosts
        kinds = set()
        for one in attributes:
            self.attribute[one] += hosts
            kinds.add(one[0])
        for kind in kinds:
            self.known[kind] += hosts

    def without(self, others: Counts) -> Counts:
        """These hosts but ``others``."""
        attribute = self.attribute.copy()
        attribute.subtract(others.attribute)
        known = self.known.copy()
        known.subtract(others.known)
        return Counts(self.hosts - others.hosts, attribute, known)


def attribution(connection: Connection, group_id: int) -> Attribution:
    """What a group follows: as it was computed last (:func:`refresh`), or computed now.

    :raises UnreadableError: there is no such group (``no-such-group``)
    """
    number = resolve(connection, group_id)
    raw = connection.scalar(
        select(schema.attribution.c.document).where(schema.attribution.c.group_id == number)
    )
    return unpack(raw, Attribution) if raw is not None else compute(connection, number)


def refresh(database: Database, *, limit: int = 1000) -> int:
    """Compute it for groups that have grown by a tenth since it was, or never had it: how many.

    Nobody waits while it is computed.

    :param limit: groups, those that cost most machines first; the others' is computed when asked
    """
    group, done = schema.group.c, schema.attribution.c
    with database.read() as connection:
        grown = connection.execute(
            select(group.id, group.crashes)
            .outerjoin(schema.attribution, done.group_id == group.id)
            .where(group.merged_into.is_(None), group.crashes > 1)
            .where(done.crashes.is_(None) | (group.crashes * 10 >= done.crashes * 11))
            .order_by(group.deaths.desc(), group.id)
            .limit(limit)
        ).all()
        fleet = _of_all_hosts(connection) if grown else None
        rows = [
            {
                "group_id": row.id,
                "made": time.time(),
                "crashes": row.crashes,
                "document": pack(compute(connection, row.id, fleet)),
            }
            for row in grown
        ]
    with database.write() as connection:
        there = set(connection.scalars(select(group.id).where(group.merged_into.is_(None))))
        upsert(
            connection,
            schema.attribution,
            [row for row in rows if row["group_id"] in there],
            keys=["group_id"],
            replace=["made", "crashes", "document"],
        )
    return len(rows)


def compute(connection: Connection, group_id: int, fleet: Counts | None = None) -> Attribution:
    """What a group follows, from its hosts and all others.

    :param fleet: the counts of all hosts, where somebody has them
    """
    mine, rest = _count(connection, group_id, fleet or _of_all_hosts(connection))
    found = associations(mine, rest)
    unusual = tuple(one for one in found if one.q <= SIGNIFICANT)[:_SHOWN]
    follows, what, why = _word(connection, group_id, mine, rest, found)
    return Attribution(
        follows=follows, what=what, why=tuple(why), unusual=unusual, tests=len(found)
    )


def associations(mine: Counts, rest: Counts) -> list[Association]:
    """Every attribute of the group's hosts against the rest, the least likely chance first."""
    from scipy.stats import (  # type: ignore[import-untyped]
        false_discovery_control,
        fisher_exact,
    )

    tested = []
    for (kind, value), count in mine.attribute.items():
        others, all_mine, all_others = (
            rest.attribute[(kind, value)],
            mine.known[kind],
            rest.known[kind],
        )
        if not all_others:
            continue
        table = [[count, all_mine - count], [others, all_others - others]]
        p = float(fisher_exact(table, alternative="greater")[1])
        tested.append((p, kind, value, count, all_mine, others, all_others))
    if not tested:
        return []
    corrected = false_discovery_control([one[0] for one in tested], method="bh")
    found = []
    for (p, kind, value, count, all_mine, others, all_others), q in zip(
        tested, corrected, strict=True
    ):
        against = (all_mine - count) * others
        found.append(
            Association(
                kind=kind,
                value=value,
                in_group=count,
                group_hosts=all_mine,
                in_rest=others,
                rest_hosts=all_others,
                p=p,
                q=float(q),
                odds=count * (all_others - others) / against if against else None,
            )
        )
    return sorted(found, key=lambda one: (one.p, one.kind, one.value))


def _of_all_hosts(connection: Connection) -> Counts:
    host = schema.host.c
    return _counted(
        connection,
        select(host.profile_id.label("profile_id"), func.count().label("hosts"))
        .where(host.profile_id.is_not(None))
        .group_by(host.profile_id),
    )


def _count(connection: Connection, group_id: int, fleet: Counts) -> tuple[Counts, Counts]:
    """The group's hosts as they were when they crashed so, and all others as they were last."""
    hit, host = schema.group_host.c, schema.host.c
    mine = _counted(
        connection,
        select(hit.profile_id.label("profile_id"), func.count().label("hosts"))
        .where(hit.group_id == group_id)
        .group_by(hit.profile_id),
    )
    now = _counted(
        connection,
        select(host.profile_id.label("profile_id"), func.count().label("hosts"))
        .join(schema.group_host, hit.host_id == host.id)
        .where(hit.group_id == group_id, host.profile_id.is_not(None))
        .group_by(host.profile_id),
    )
    return mine, fleet.without(now)


def _counted(connection: Connection, statement: Select[tuple[int | None, int]]) -> Counts:
    counts = Counts()
    rows = statement.subquery()
    profile = schema.profile.c
    for raw, hosts in connection.execute(
        select(profile.attributes, rows.c.hosts).join(rows, rows.c.profile_id == profile.id)
    ):
        counts.add([(kind, value) for kind, value in json.loads(raw)], hosts)
    return counts


def _word(
    connection: Connection,
    group_id: int,
    mine: Counts,
    rest: Counts,
    found: list[Association],
) -> tuple[Weight, str, list[str]]:
    row = connection.execute(
        select(schema.group.c.kind, schema.group.c.crashes).where(schema.group.c.id == group_id)
    ).one()
    why: list[str] = []
    if row.kind in (Kind.MACHINE_CHECK, Kind.HARDWARE_NMI):
        why.append("the processor or the chipset itself reported the error")
        return Weight.HARDWARE, "hardware that reports errors", why
    hosts = connection.execute(
        select(schema.host.c.name, schema.group_host.c.crashes)
        .join(schema.host, schema.host.c.id == schema.group_host.c.host_id)
        .where(schema.group_host.c.group_id == group_id)
        .order_by(schema.group_host.c.crashes.desc())
        .limit(2)
    ).all()
    if not hosts:
        return Weight.UNDECIDED, "", ["nobody knows which hosts these crashes are of"]
    if len(hosts) == 1:
        return _one_host(connection, group_id, hosts[0].name, hosts[0].crashes, rest)
    platform = _leader(found, ("model", "firmware"))
    kernel = _leader(found, ("kernel",))
    models = {value for kind, value in mine.attribute if kind == "model"}
    if platform is not None and (kernel is None or platform.p <= kernel.p):
        why.append(_sentence(platform))
        if kernel is not None:
            why.append(f"but also: {_sentence(kernel)}")
        return Weight.PLATFORM, platform.value, why
    if kernel is not None:
        why.append(_sentence(kernel))
        if len(models) > 1:
            why.append(f"across {len(models)} models of machines")
        if platform is not None:
            why.append(f"but also: {_sentence(platform)}")
        return Weight.KERNEL, kernel.value, why
    if len(models) > 1 and mine.hosts >= _ENOUGH_HOSTS:
        why.append(
            f"{mine.hosts} hosts of {len(models)} models have it, and no model, firmware or "
            "kernel has it significantly more than the others"
        )
        return Weight.KERNEL, "no build in particular", why
    why.append(
        f"{len(hosts) if mine.hosts < 2 else mine.hosts} hosts are too few to tell, or too alike "
        f"(of {rest.hosts} others something is known)"
    )
    return Weight.UNDECIDED, "", why


def _one_host(
    connection: Connection, group_id: int, name: str, crashes: int, rest: Counts
) -> tuple[Weight, str, list[str]]:
    """All crashes of a group are of one host: its hardware, where others run the same kernel."""
    from scipy.stats import fisher_exact

    crash, host = schema.crash.c, schema.host.c
    others_here = (
        connection.scalar(
            select(func.count())
            .select_from(schema.crash)
            .join(schema.host, host.id == crash.host_id)
            .where(host.name == name, crash.group_id != group_id)
        )
        or 0
    )
    elsewhere = (
        connection.scalar(
            select(func.count()).select_from(schema.crash).where(crash.group_id != group_id)
        )
        or 0
    )
    elsewhere -= others_here
    builds = (
        select(crash.build_id)
        .where(crash.group_id == group_id, crash.build_id.is_not(None))
        .distinct()
    )
    peers = (
        connection.scalar(
            select(func.count(schema.group_host.c.host_id.distinct()))
            .join(schema.host, host.id == schema.group_host.c.host_id)
            .where(
                host.name != name,
                schema.group_host.c.group_id.in_(
                    select(schema.group_build.c.group_id).where(
                        schema.group_build.c.build_id.in_(builds)
                    )
                ),
            )
        )
        or 0
    )
    p = float(fisher_exact([[crashes, 0], [others_here, elsewhere]], alternative="greater")[1])
    counts = (
        f"{crashes} crashes, all of {name}; {others_here} of its others and {elsewhere} crashes "
        f"of other hosts are different (Fisher's exact test: p = {p:.2g})"
    )
    if crashes < _REPEATS or p > SIGNIFICANT or not rest.hosts:
        return Weight.UNDECIDED, "", [counts, "too few to tell"]
    why = [counts]
    if peers:
        why.append(f"{peers} other hosts crashed on the same kernel, and never so")
    return Weight.HARDWARE, name, why


def _leader(found: list[Association], kinds: tuple[str, ...]) -> Association | None:
    """The attribute that most of the group has and that cannot be chance.

    Two hosts are too few, whatever p says: a kernel that nobody else runs is theirs alone.
    """
    for one in found:
        if (
            one.kind in kinds
            and one.q <= SIGNIFICANT
            and one.in_group >= max(_ENOUGH_HOSTS, _MOST_OF * one.group_hosts)
        ):
            return one
    return None


def _sentence(one: Association) -> str:
    return (
        f"{one.in_group} of {one.group_hosts} hosts have {one.kind} {one.value}, of the others "
        f"{one.in_rest} of {one.rest_hosts} (Fisher's exact test: p = {one.p:.2g}, q = {one.q:.2g})"
    )
