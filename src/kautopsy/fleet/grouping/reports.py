"""A report on a crash: from its dump, or from the host's own kautopsy.

A crash may have been told of before: by the console, by a small report ahead of the dump. Then the
report joins it, and moves it to another group where it knows better what happened.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, true, update

from kautopsy.fleet import schema
from kautopsy.fleet.database import pack
from kautopsy.fleet.grouping.counting import count_crashes
from kautopsy.fleet.grouping.event import event_key, exact_key
from kautopsy.fleet.grouping.machines import see_builds
from kautopsy.fleet.grouping.record import BETWEEN_STAMPS, SAME_DEATH, record
from kautopsy.fleet.grouping.sighting import Sighting
from kautopsy.fleet.grouping.signatures import First, find_signatures, new_signature, signature_key
from kautopsy.fleet.upsert import ids, insert_one
from kautopsy.model.report import Report

_BETTER = ("log", "report", "dump")


def record_report(
    connection: Connection, sighting: Sighting, *, analysis: str, now: float | None = None
) -> tuple[int, bool]:
    """Store a sighting with its report: the crash's id, and whether nobody had told of it."""
    assert sighting.report is not None
    now = time.time() if now is None else now
    exact = exact_key(sighting.crash)
    crash_id = told_before(connection, sighting, exact)
    new = crash_id is None
    if crash_id is None:
        record(connection, [sighting], now=now)
        event = event_key(sighting)
        crash_id = ids(connection, schema.crash, "event", [event])[event]
    else:
        _improve(connection, crash_id, sighting, exact, now)
    add_report(connection, crash_id, sighting.report, sighting.source_id, analysis, now=now)
    return crash_id, new


def told_before(connection: Connection, sighting: Sighting, exact: str) -> int | None:
    """The crash that ``sighting`` is about, if it is in the store."""
    crash, host = schema.crash, schema.host
    is_dump = sighting.origin == "dump"
    if is_dump and sighting.source_id is not None:
        # Analysed before, perhaps by an older kautopsy that gave it another key.
        same_dump = connection.scalar(
            select(crash.c.id).where(
                crash.c.source_id == sighting.source_id, crash.c.origin == "dump"
            )
        )
        if same_dump is not None:
            return int(same_dump)
    event = event_key(sighting)
    same_event = connection.scalar(select(crash.c.id).where(crash.c.event == event))
    if same_event is not None or not sighting.host:
        return same_event
    ways = []
    if sighting.at is not None:
        ways.append(crash.c.at_known & (func.abs(crash.c.at - sighting.at) <= SAME_DEATH))
    up = sighting.uptime
    if up is not None:
        # Neither may know the time of day: one boot's clock, and the same stack, must do.
        near = func.abs(crash.c.uptime - up) <= BETWEEN_STAMPS
        same = near & (crash.c.exact == exact)
        ways.append(same if sighting.at is None else same & ~crash.c.at_known)
    if not ways:
        return None
    return connection.scalar(
        select(crash.c.id)
        .join(host, crash.c.host_id == host.c.id)
        .where(host.c.name == sighting.host, crash.c.fatal, or_(*ways))
        # Two dumps are two deaths.
        .where(crash.c.origin != "dump" if is_dump else true())
        .order_by(crash.c.at.desc())
        .limit(1)
    )


def _improve(
    connection: Connection, crash_id: int, sighting: Sighting, exact: str, now: float
) -> None:
    """Let the better source speak for the crash."""
    table = schema.crash
    old = connection.execute(select(table).where(table.c.id == crash_id)).one()
    if _BETTER.index(sighting.origin) < _BETTER.index(old.origin):
        return
    crash = sighting.crash
    values: dict[str, Any] = {
        "origin": sighting.origin,
        "source_id": sighting.source_id or old.source_id,
        "exact": exact,
        "kind": crash.kind.value,
        "title": crash.title,
        "trigger": crash.trigger.value if crash.trigger is not None else "",
        "fatal": sighting.fatal,
        "corrupted": crash.corrupted,
        "document": pack(crash),
    }
    if sighting.at is not None:
        values |= {"at": sighting.at, "at_known": True}
    build = (crash.release or "", sighting.build_id, sighting.arch)
    builds = see_builds(connection, {build})
    if build in builds:
        values["build_id"] = builds[build]
    connection.execute(update(table).where(table.c.id == crash_id).values(**values))
    key = signature_key(exact, sighting.report)
    taken_apart = connection.scalar(
        select(schema.signature.c.scheme).where(schema.signature.c.id == old.signature_id)
    )
    if taken_apart == "manual":
        return
    known = find_signatures(connection, [key])
    title = crash.title
    if key[0] == "cause" and sighting.report is not None and sighting.report.verdict is not None:
        title = sighting.report.verdict.title
    signature_id, group_id = known.get(key) or new_signature(
        connection, First(key=key, crash=crash, title=title, at=old.at), now=now
    )
    if signature_id != old.signature_id:
        move(connection, [crash_id], signature_id, group_id)
    else:
        recount(connection, {group_id})


def move(connection: Connection, crash_ids: list[int], signature_id: int, group_id: int) -> None:
    """Give crashes another signature, and count both groups anew."""
    table = schema.crash
    touched: set[int] = {group_id}
    for start in range(0, len(crash_ids), 500):
        part = crash_ids[start : start + 500]
        touched.update(
            connection.scalars(select(table.c.group_id).where(table.c.id.in_(part)).distinct())
        )
        connection.execute(
            update(table)
            .where(table.c.id.in_(part))
            .values(signature_id=signature_id, group_id=group_id)
        )
    recount(connection, touched)


def recount(connection: Connection, group_ids: set[int]) -> None:
    """Count the crashes of groups anew; one without crashes and without a history goes."""
    table, group = schema.crash, schema.group
    for counted in (schema.group_host, schema.group_build, schema.group_day, schema.attribution):
        connection.execute(delete(counted).where(counted.c.group_id.in_(group_ids)))
    connection.execute(
        update(schema.signature)
        .where(
            or_(
                schema.signature.c.group_id.in_(group_ids),
                schema.signature.c.id.in_(
                    select(table.c.signature_id).where(table.c.group_id.in_(group_ids))
                ),
            )
        )
        .values(crashes=0)
    )
    columns = ("group_id", "signature_id", "host_id", "build_id", "profile_id", "at", "fatal")
    for number in group_ids:
        span = connection.execute(
            select(func.min(table.c.at), func.max(table.c.at)).where(table.c.group_id == number)
        ).one()
        reset: dict[str, Any] = {"crashes": 0, "deaths": 0}
        if span[0] is not None:
            reset |= {"first_seen": span[0], "last_seen": span[1]}
        connection.execute(update(group).where(group.c.id == number).values(**reset))
        rows = connection.execute(
            select(*(table.c[name] for name in columns))
            .where(table.c.group_id == number)
            .order_by(table.c.at)
        ).mappings()
        for part in rows.partitions(1000):
            count_crashes(connection, [dict(row) for row in part])


def add_report(
    connection: Connection,
    crash_id: int,
    report: Report,
    source_id: int | None,
    analysis: str,
    *,
    now: float,
) -> int:
    """Keep a report and its findings; one of the same source and analysis is replaced: its id."""
    table = schema.report
    verdict = report.verdict
    values = {
        "crash_id": crash_id,
        "source_id": source_id,
        "analysis": analysis,
        "made": now,
        "verdict_kind": verdict.kind.value if verdict else "",
        "verdict_title": verdict.title if verdict else "",
        "verdict_key": verdict.key if verdict else "",
        "confidence": verdict.confidence if verdict else None,
        "symbols": report.symbols.source.value,
        "document": pack(report),
    }
    old = connection.scalar(
        select(table.c.id).where(table.c.source_id == source_id, table.c.analysis == analysis)
    )
    report_id: int
    if old is not None:
        connection.execute(delete(schema.finding).where(schema.finding.c.report_id == old))
        connection.execute(update(table).where(table.c.id == old).values(**values))
        report_id = old
    else:
        report_id = insert_one(connection, table, **values)
    findings = [
        {
            "report_id": report_id,
            "number": number,
            "kind": one.kind.value,
            "title": one.title,
            "confidence": one.confidence,
            "severity": one.severity.value,
            "function": (one.culprit.function or "") if one.culprit else "",
            "module": (one.culprit.module or "") if one.culprit else "",
        }
        for number, one in enumerate(report.findings)
    ]
    if findings:
        connection.execute(schema.finding.insert(), findings)
    return report_id
