"""Hosts: who crashes, who is ready, what each is made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct, unpack
from kautopsy.fleet.nouns import (
    BootRow,
    Ending,
    GroupFilter,
    HostDetail,
    HostPage,
    HostRow,
    ReadinessRow,
)
from kautopsy.fleet.queries import crashes, groups
from kautopsy.fleet.queries import readiness as readiness_queries
from kautopsy.model.errors import UnreadableError
from kautopsy.model.readiness import DoctorDocument

_H = schema.host.c


def listed(
    connection: Connection,
    *,
    text: str = "",
    ready: bool | None = None,
    limit: int = 100,
    offset: int = 0,
) -> HostPage:
    """Hosts, those that died most first.

    :param text: stands in the name, the model or the firmware
    :param ready: only those whose newest answer was so
    """
    conditions: list[ColumnElement[bool]] = []
    if text:
        conditions.append(
            groups.contains(_H.name, text)
            | groups.contains(_H.model, text)
            | groups.contains(_H.firmware, text)
        )
    if ready is not None:
        conditions.append(_H.ready.is_(ready))
    total = connection.scalar(select(func.count()).select_from(schema.host).where(*conditions))
    statement = _rows().where(*conditions)
    deaths = statement.selected_columns["deaths"]
    found = connection.execute(
        statement.order_by(deaths.desc(), _H.name).limit(limit).offset(offset)
    )
    return HostPage(total=total or 0, hosts=tuple(as_struct(one, HostRow) for one in found))


def detail(connection: Connection, name: str) -> HostDetail:
    """Everything of one host but the list of its crashes (:func:`.crashes.of_host`).

    :raises UnreadableError: there is none (``no-such-host``)
    """
    found = connection.execute(_rows().where(_H.name == name)).first()
    if found is None:
        raise UnreadableError("there is no such host", thing=name, slug="no-such-host")
    ids = connection.execute(select(_H.id, _H.profile_id).where(_H.name == name)).one()
    everything = GroupFilter(host=name, all_states=True)
    return HostDetail(
        host=as_struct(found, HostRow),
        attributes=crashes.attributes(connection, ids.profile_id),
        groups=groups.ranked(connection, everything).groups,
        boots=boots(connection, ids.id),
        readiness=_readiness(connection, ids.id, name),
        doctor=_doctor(connection, ids.id),
        drills=readiness_queries.drills(connection, host=name),
        notes=groups.notes(connection, "host", ids.id),
    )


def boots(connection: Connection, host_id: int) -> tuple[BootRow, ...]:
    """The boots of a host that are known, the newest first."""
    table = schema.boot.c
    found = connection.execute(
        select(
            table.boot_key,
            func.coalesce(schema.build.c.release, "").label("release"),
            table.started,
            table.last_seen,
            table.ending,
        )
        .outerjoin(schema.build, schema.build.c.id == table.build_id)
        .where(table.host_id == host_id)
        .order_by(table.started.desc())
        .limit(50)
    )
    return tuple(as_struct(one, BootRow) for one in found)


def _rows() -> Select[Any]:
    crash, boot = schema.crash.c, schema.boot.c
    counts = (
        select(
            crash.host_id,
            func.count().label("crashes"),
            func.sum(case((crash.fatal, 1), else_=0)).label("deaths"),
        )
        .group_by(crash.host_id)
        .subquery()
    )
    silent = (
        select(boot.host_id, func.count().label("silent"))
        .where(boot.ending == Ending.SILENT.value)
        .group_by(boot.host_id)
        .subquery()
    )
    return (
        select(
            _H.name,
            _H.model,
            _H.firmware,
            _H.cpu,
            _H.first_seen,
            _H.last_seen,
            _H.ready,
            _H.ready_at,
            func.coalesce(counts.c.crashes, 0).label("crashes"),
            func.coalesce(counts.c.deaths, 0).label("deaths"),
            func.coalesce(silent.c.silent, 0).label("silent"),
        )
        .select_from(schema.host)
        .outerjoin(counts, counts.c.host_id == _H.id)
        .outerjoin(silent, silent.c.host_id == _H.id)
    )


def _readiness(connection: Connection, host_id: int, name: str) -> tuple[ReadinessRow, ...]:
    table = schema.readiness.c
    found = connection.execute(
        select(table.at, table.reached, table.ready, table.reason)
        .where(table.host_id == host_id)
        .order_by(table.at.desc())
        .limit(20)
    )
    return tuple(ReadinessRow(host=name, **one._mapping) for one in found)


def _doctor(connection: Connection, host_id: int) -> DoctorDocument | None:
    table = schema.readiness.c
    raw = connection.scalar(
        select(table.document)
        .where(and_(table.host_id == host_id, table.document.is_not(None)))
        .order_by(table.at.desc())
        .limit(1)
    )
    return unpack(raw, DoctorDocument) if raw is not None else None
