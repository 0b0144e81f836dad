"""Could they dump if they died now; who died silently; drills."""

from __future__ import annotations

import time

from sqlalchemy import Connection, and_, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct, unpack
from kautopsy.fleet.grouping.counting import DAY
from kautopsy.fleet.nouns import (
    DrillDetail,
    DrillRow,
    Ending,
    ReadinessRow,
    ReadinessSummary,
    Reason,
)
from kautopsy.model.drill import DrillRecord
from kautopsy.model.errors import UnreadableError

SILENT_DAYS = 30
_R = schema.readiness.c
_NEWEST = select(_R.host_id, func.max(_R.id).label("readiness_id")).group_by(_R.host_id).subquery()


def summary(connection: Connection, *, now: float | None = None) -> ReadinessSummary:
    """How many are ready, and why the others are not; each host counts with its newest answer."""
    now = time.time() if now is None else now
    counts: dict[tuple[bool, bool | None], int] = {}
    for reached, ready, count in connection.execute(
        select(_R.reached, _R.ready, func.count())
        .join(_NEWEST, _NEWEST.c.readiness_id == _R.id)
        .group_by(_R.reached, _R.ready)
    ):
        counts[(bool(reached), ready)] = count
    hosts = connection.scalar(select(func.count()).select_from(schema.host)) or 0
    boot = schema.boot.c
    endings: dict[str, tuple[int, int]] = {
        ending: (count, on)
        for ending, count, on in connection.execute(
            select(boot.ending, func.count(), func.count(boot.host_id.distinct()))
            .where(boot.last_seen >= now - SILENT_DAYS * DAY)
            .group_by(boot.ending)
        )
    }
    none = (0, 0)
    return ReadinessSummary(
        hosts=hosts,
        ready=counts.get((True, True), 0),
        not_ready=counts.get((True, False), 0),
        unknown=counts.get((True, None), 0),
        unreached=sum(n for (reached, _), n in counts.items() if not reached),
        unasked=hosts - sum(counts.values()),
        reasons=_reasons(connection),
        silent=endings.get(Ending.SILENT, none)[0],
        silent_hosts=endings.get(Ending.SILENT, none)[1],
        crashed=endings.get(Ending.CRASHED, none)[0],
        endings_unknown=endings.get(Ending.UNKNOWN, none)[0],
    )


def _reasons(connection: Connection) -> tuple[Reason, ...]:
    table = schema.readiness_check.c
    found = connection.execute(
        select(
            table.name.label("check"),
            table.status,
            func.count().label("hosts"),
            func.min(table.summary).label("example"),
            func.min(table.fix).label("fix"),
        )
        .join(_NEWEST, _NEWEST.c.readiness_id == table.readiness_id)
        .group_by(table.name, table.status)
        .order_by(table.status, func.count().desc(), table.name)
    )
    return tuple(as_struct(one, Reason) for one in found)


def by_reason(
    connection: Connection, check: str, *, status: str = "", limit: int = 200, offset: int = 0
) -> tuple[ReadinessRow, ...]:
    """The hosts on which a check does not pass, with what it said there.

    :param check: the id of a check; empty: hosts that were not reached
    :param status: ``fail``, ``warn`` or ``unknown``; empty: any of them
    """
    table = schema.readiness_check.c
    if not check:
        statement = (
            select(schema.host.c.name.label("host"), _R.at, _R.reached, _R.ready, _R.reason)
            .join(_NEWEST, _NEWEST.c.readiness_id == _R.id)
            .join(schema.host, schema.host.c.id == _R.host_id)
            .where(~_R.reached)
        )
    else:
        statement = (
            select(
                schema.host.c.name.label("host"),
                _R.at,
                _R.reached,
                _R.ready,
                table.summary.label("reason"),
            )
            .join(_NEWEST, _NEWEST.c.readiness_id == _R.id)
            .join(schema.host, schema.host.c.id == _R.host_id)
            .join(schema.readiness_check, and_(table.readiness_id == _R.id, table.name == check))
        )
        if status:
            statement = statement.where(table.status == status)
    found = connection.execute(statement.order_by(schema.host.c.name).limit(limit).offset(offset))
    return tuple(as_struct(one, ReadinessRow) for one in found)


def silent_deaths(
    connection: Connection, *, since: float | None = None, limit: int = 200
) -> tuple[tuple[str, float], ...]:
    """Hosts that died without a word: name, and when they were last known to live."""
    since = time.time() - SILENT_DAYS * DAY if since is None else since
    boot = schema.boot.c
    found = connection.execute(
        select(schema.host.c.name, boot.last_seen)
        .join(schema.host, schema.host.c.id == boot.host_id)
        .where(boot.ending == Ending.SILENT.value, boot.last_seen >= since)
        .order_by(boot.last_seen.desc())
        .limit(limit)
    )
    return tuple((name, at) for name, at in found)


def drills(
    connection: Connection, *, host: str = "", limit: int = 100, offset: int = 0
) -> tuple[DrillRow, ...]:
    """Drills, the newest first."""
    table = schema.drill.c
    statement = select(
        table.id,
        func.coalesce(schema.host.c.name, "").label("host"),
        table.at,
        table.passed,
        table.failed_stage,
        table.detail,
        table.nonce,
    ).outerjoin(schema.host, schema.host.c.id == table.host_id)
    if host:
        statement = statement.where(schema.host.c.name == host)
    found = connection.execute(
        statement.order_by(table.at.desc(), table.id.desc()).limit(limit).offset(offset)
    )
    return tuple(as_struct(one, DrillRow) for one in found)


def drill(connection: Connection, drill_id: int) -> DrillDetail:
    """One drill with its record.

    :raises UnreadableError: there is none (``no-such-drill``)
    """
    table = schema.drill.c
    found = connection.execute(
        select(
            table.id,
            func.coalesce(schema.host.c.name, "").label("host"),
            table.at,
            table.passed,
            table.failed_stage,
            table.detail,
            table.nonce,
            table.document,
        )
        .outerjoin(schema.host, schema.host.c.id == table.host_id)
        .where(table.id == drill_id)
    ).first()
    if found is None:
        raise UnreadableError("there is no such drill", thing=str(drill_id), slug="no-such-drill")
    return DrillDetail(drill=as_struct(found, DrillRow), record=unpack(found.document, DrillRecord))
