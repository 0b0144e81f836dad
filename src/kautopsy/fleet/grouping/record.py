"""A batch of sightings into the store: one transaction, whatever happens meanwhile.

Every crash is found by its event first, so what was stored before (the same log again, a dump of a
crash that the console told of) adds nothing twice. Counters of groups, hosts, builds and days are
changed with the crashes that they count.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, text, update

from kautopsy.fingerprint.exact import significant
from kautopsy.fleet import schema
from kautopsy.fleet.database import pack
from kautopsy.fleet.grouping.counting import count_crashes
from kautopsy.fleet.grouping.event import event_key, exact_key
from kautopsy.fleet.grouping.machines import see_builds, see_hosts
from kautopsy.fleet.grouping.releases import contains_fix
from kautopsy.fleet.grouping.sighting import Sighting, attributes
from kautopsy.fleet.grouping.signatures import (
    First,
    Key,
    find_signatures,
    new_signatures,
    signature_key,
)
from kautopsy.fleet.nouns import GroupState, Stored
from kautopsy.fleet.upsert import ids, upsert

EXEMPLARS = 5
"""The first crashes of a group, which retention keeps in full."""
SAME_DEATH = 120.0
"""Seconds: a machine does not die twice in as many. Dumping and booting take longer."""
BETWEEN_STAMPS = 5.0
"""Seconds between the first line of a console's report and a dump's own clock."""


@dataclass
class _New:
    """A crash on its way into the store."""

    sighting: Sighting
    event: str
    exact: str
    key: Key
    profile: str
    at: float
    ids: dict[str, int | None] = field(default_factory=dict)


def record(
    connection: Connection, sightings: Sequence[Sighting], *, now: float | None = None
) -> Stored:
    """Store what is new of ``sightings``, in the transaction of ``connection``."""
    now = time.time() if now is None else now
    crashes = _only_new(connection, sightings)
    _hosts_and_builds(connection, crashes)
    new_groups = _signatures(connection, crashes, now)
    regressions = _insert(connection, crashes, now)
    _count(connection, crashes)
    return Stored(
        seen=len(sightings), new=len(crashes), new_groups=new_groups, regressions=regressions
    )


def _only_new(connection: Connection, sightings: Sequence[Sighting]) -> list[_New]:
    found: dict[str, _New] = {}
    for one in sightings:
        exact = exact_key(one.crash)
        event = event_key(one)
        if event in found:
            continue
        raw = json.dumps(attributes(one))
        found[event] = _New(
            sighting=one,
            event=event,
            exact=exact,
            key=signature_key(exact, one.report),
            profile=raw,
            at=one.at if one.at is not None else one.fallback_at,
        )
    known = ids(connection, schema.crash, "event", found)
    new = [one for event, one in found.items() if event not in known]
    told = _deaths_told(connection, {one.sighting.host for one in new if one.sighting.host})
    return [one for one in new if not _is_told(one, told.get(one.sighting.host, ()))]


_Death = tuple[float, float | None, str]
"""When, how long after boot, and the exact key."""


def _deaths_told(connection: Connection, hosts: set[str]) -> dict[str, list[_Death]]:
    """When hosts died, by their dumps: the console's text of those deaths is no other crash."""
    crash, host = schema.crash, schema.host
    told: dict[str, list[_Death]] = {}
    names = sorted(hosts)
    for start in range(0, len(names), 500):
        rows = connection.execute(
            select(host.c.name, crash.c.at, crash.c.uptime, crash.c.exact)
            .join(host, crash.c.host_id == host.c.id)
            .where(host.c.name.in_(names[start : start + 500]))
            # Spelt out, as the index on them is.
            .where(text("origin <> 'log'"), crash.c.fatal, crash.c.at_known)
        )
        for name, *death in rows:
            told.setdefault(name, []).append((death[0], death[1], death[2]))
    return told


def _is_told(one: _New, deaths: Sequence[_Death]) -> bool:
    sighting = one.sighting
    if sighting.origin != "log" or not sighting.fatal:
        return False
    up = sighting.uptime
    for at, death_up, exact in deaths:
        if sighting.at is not None:
            if abs(sighting.at - at) <= SAME_DEATH:
                return True
        elif exact == one.exact and None not in (up, death_up):
            assert up is not None and death_up is not None
            if abs(up - death_up) <= BETWEEN_STAMPS:
                return True
    return False


def _hosts_and_builds(connection: Connection, crashes: Sequence[_New]) -> None:
    profiles = {one.profile: hashlib.sha256(one.profile.encode()).hexdigest() for one in crashes}
    upsert(
        connection,
        schema.profile,
        [{"key": key, "attributes": raw} for raw, key in profiles.items()],
        keys=["key"],
    )
    profile_ids = ids(connection, schema.profile, "key", profiles.values())
    newest: dict[str, _New] = {}
    oldest: dict[str, float] = {}
    for one in crashes:
        one.ids["profile_id"] = profile_ids[profiles[one.profile]]
        name = one.sighting.host
        if name:
            oldest[name] = min(oldest.get(name, one.at), one.at)
            if name not in newest or one.at >= newest[name].at:
                newest[name] = one
    host_ids = see_hosts(
        connection,
        [
            {
                "name": name,
                "first_seen": oldest[name],
                "last_seen": one.at,
                "profile_id": one.ids["profile_id"],
                "model": one.sighting.machine.model,
                "firmware": one.sighting.machine.firmware,
                "cpu": one.sighting.machine.cpu,
            }
            for name, one in newest.items()
        ],
    )
    build_ids = see_builds(connection, {_build(one.sighting) for one in crashes})
    for one in crashes:
        one.ids["host_id"] = host_ids.get(one.sighting.host)
        one.ids["build_id"] = build_ids.get(_build(one.sighting))


def _build(sighting: Sighting) -> tuple[str, str, str]:
    return (sighting.crash.release or "", sighting.build_id, sighting.arch)


def _signatures(connection: Connection, crashes: Sequence[_New], now: float) -> int:
    """Give every crash its signature and group; how many groups are new."""
    first: dict[Key, _New] = {}
    for one in crashes:
        first.setdefault(one.key, one)
    known = find_signatures(connection, list(first))
    new = [
        First(key=key, crash=one.sighting.crash, title=_title(one), at=one.at)
        for key, one in first.items()
        if key not in known
    ]
    known |= new_signatures(connection, new, now=now)
    for one in crashes:
        one.ids["signature_id"], one.ids["group_id"] = known[one.key]
    return len(new)


def _title(one: _New) -> str:
    report = one.sighting.report
    if one.key[0] == "cause" and report is not None and report.verdict is not None:
        return report.verdict.title
    return one.sighting.crash.title


def _insert(connection: Connection, crashes: Sequence[_New], now: float) -> int:
    if not crashes:
        return 0
    groups = {
        row.id: row
        for row in connection.execute(
            select(schema.group).where(
                schema.group.c.id.in_({one.ids["group_id"] for one in crashes})
            )
        )
    }
    room = {number: EXEMPLARS - row.crashes for number, row in groups.items()}
    rows = []
    for one in crashes:
        group_id = one.ids["group_id"]
        assert group_id is not None
        room[group_id] -= 1
        rows.append(_row(one, now, exemplar=room[group_id] >= 0))
    connection.execute(schema.crash.insert(), rows)
    of_group: dict[int | None, list[_New]] = defaultdict(list)
    for one in crashes:
        of_group[one.ids["group_id"]].append(one)
    return sum(_reopen(connection, groups[number], of_group[number], now) for number in groups)


def _row(one: _New, now: float, *, exemplar: bool) -> dict[str, Any]:
    sighting, crash = one.sighting, one.sighting.crash
    frame = next(iter(significant(crash)), None)
    return {
        **one.ids,
        "event": one.event,
        "source_id": sighting.source_id,
        "at": one.at,
        "at_known": sighting.at is not None,
        "received": now,
        "origin": sighting.origin,
        "kind": crash.kind.value,
        "title": crash.title,
        "trigger": crash.trigger.value if crash.trigger is not None else "",
        "fatal": sighting.fatal,
        "corrupted": crash.corrupted,
        "function": (frame.function or "") if frame is not None else "",
        "module": (frame.module or "") if frame is not None else "",
        "comm": crash.task.comm if crash.task is not None else "",
        "uptime": sighting.uptime,
        "exact": one.exact,
        "exemplar": exemplar,
        "document": pack(crash),
    }


def _reopen(connection: Connection, group: Any, crashes: Sequence[_New], now: float) -> int:
    """What new crashes do to the state of their group: 1 if it is a regression."""
    table = schema.group
    if group.state == GroupState.IGNORED and group.ignored_until is not None:
        if max(one.at for one in crashes) > group.ignored_until:
            connection.execute(
                update(table)
                .where(table.c.id == group.id)
                .values(state=GroupState.KNOWN.value, ignored_until=None)
            )
        return 0
    if group.state != GroupState.FIXED:
        return 0
    again = [
        one for one in crashes if contains_fix(one.sighting.crash.release or "", group.fixed_in)
    ]
    if not again:
        return 0
    first = min(again, key=lambda one: one.at)
    connection.execute(
        update(table)
        .where(table.c.id == group.id)
        .values(state=GroupState.NEW.value, regressed_at=first.at)
    )
    crash_id = ids(connection, schema.crash, "event", [first.event])[first.event]
    connection.execute(
        schema.notice.insert().values(
            kind="regression",
            group_id=group.id,
            crash_id=crash_id,
            at=now,
            detail=f"fixed in {group.fixed_in}, seen on {first.sighting.crash.release}",
        )
    )
    return 1


def _count(connection: Connection, crashes: Sequence[_New]) -> None:
    count_crashes(
        connection,
        [
            {
                "group_id": one.ids["group_id"],
                "signature_id": one.ids["signature_id"],
                "host_id": one.ids["host_id"],
                "build_id": one.ids["build_id"],
                "profile_id": one.ids["profile_id"],
                "at": one.at,
                "fatal": one.sighting.fatal,
            }
            for one in crashes
        ],
    )
