"""Crashes: lists of them, and one with its report and where it came from."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct, unpack
from kautopsy.fleet.nouns import CrashDetail, CrashPage, CrashRow, ReportRow, SourceRow
from kautopsy.model.crash import Crash
from kautopsy.model.errors import UnreadableError
from kautopsy.model.report import Report

_C = schema.crash.c


def rows(
    connection: Connection, *conditions: ColumnElement[bool], limit: int = 100, offset: int = 0
) -> tuple[CrashRow, ...]:
    """Crashes, the newest first."""
    found = connection.execute(
        select(
            _C.id,
            _C.group_id,
            func.coalesce(schema.host.c.name, "").label("host"),
            func.coalesce(schema.build.c.release, "").label("release"),
            _C.at,
            _C.at_known,
            _C.origin,
            _C.kind,
            _C.title,
            _C.trigger,
            _C.fatal,
            _C.corrupted,
            _C.function,
            _C.module,
            _C.comm,
            _C.uptime,
            _C.exemplar,
        )
        .select_from(schema.crash)
        .outerjoin(schema.host, schema.host.c.id == _C.host_id)
        .outerjoin(schema.build, schema.build.c.id == _C.build_id)
        .where(*conditions)
        .order_by(_C.at.desc(), _C.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(as_struct(one, CrashRow) for one in found)


def newest(connection: Connection, *, limit: int = 50, offset: int = 0) -> CrashPage:
    """The fleet's crashes, the newest first."""
    total = connection.scalar(select(func.count()).select_from(schema.crash)) or 0
    return CrashPage(total=total, crashes=rows(connection, limit=limit, offset=offset))


def of_host(connection: Connection, name: str, *, limit: int = 100, offset: int = 0) -> CrashPage:
    """The crashes of a host, the newest first."""
    host_id = select(schema.host.c.id).where(schema.host.c.name == name).scalar_subquery()
    total = connection.scalar(
        select(func.count()).select_from(schema.crash).where(_C.host_id == host_id)
    )
    found = rows(connection, _C.host_id == host_id, limit=limit, offset=offset)
    return CrashPage(total=total or 0, crashes=found)


def detail(connection: Connection, crash_id: int) -> CrashDetail:
    """Everything of one crash.

    :raises UnreadableError: there is none (``no-such-crash``)
    """
    from kautopsy.fleet.queries import groups

    found = rows(connection, _C.id == crash_id, limit=1)
    if not found:
        raise UnreadableError("there is no such crash", thing=str(crash_id), slug="no-such-crash")
    row = found[0]
    raw = connection.execute(
        select(_C.document, _C.source_id, _C.profile_id).where(_C.id == crash_id)
    ).one()
    document = unpack(raw.document, Crash) if raw.document is not None else None
    return CrashDetail(
        crash=row,
        group=groups.row(connection, row.group_id),
        document=document,
        report=report(connection, crash_id, document),
        reports=_reports(connection, crash_id),
        source=_source(connection, raw.source_id),
        attributes=attributes(connection, raw.profile_id),
        notes=groups.notes(connection, "crash", crash_id),
    )


def report(connection: Connection, crash_id: int, document: Crash | None) -> Report | None:
    """The newest report on a crash; where there was no dump, what its text alone tells."""
    from kautopsy.triage.textual import report_on_crash

    table = schema.report.c
    raw = connection.scalar(
        select(table.document)
        .where(table.crash_id == crash_id)
        .order_by(table.made.desc(), table.id.desc())
        .limit(1)
    )
    if raw is not None:
        return unpack(raw, Report)
    return report_on_crash(document) if document is not None else None


def crash_document(connection: Connection, crash_id: int) -> Crash | None:
    """The crash itself; None where retention dropped it.

    :raises UnreadableError: there is none (``no-such-crash``)
    """
    found = connection.execute(select(_C.document).where(_C.id == crash_id)).first()
    if found is None:
        raise UnreadableError("there is no such crash", thing=str(crash_id), slug="no-such-crash")
    return unpack(found[0], Crash) if found[0] is not None else None


def attributes(connection: Connection, profile_id: int | None) -> tuple[tuple[str, str], ...]:
    """What a machine was made of: (kind, value)."""
    if profile_id is None:
        return ()
    raw = connection.scalar(
        select(schema.profile.c.attributes).where(schema.profile.c.id == profile_id)
    )
    return tuple((kind, value) for kind, value in json.loads(raw or "[]"))


def _reports(connection: Connection, crash_id: int) -> tuple[ReportRow, ...]:
    table = schema.report.c
    found = connection.execute(
        select(
            table.id,
            table.analysis,
            table.made,
            table.verdict_kind,
            table.verdict_title,
            table.confidence,
            table.symbols,
        )
        .where(table.crash_id == crash_id)
        .order_by(table.made.desc())
    )
    return tuple(as_struct(one, ReportRow) for one in found)


def source_columns() -> tuple[Any, ...]:
    """The columns of a :class:`SourceRow`."""
    table = schema.source.c
    return (
        table.id,
        table.content,
        table.kind,
        table.name,
        table.path,
        table.host_name.label("host"),
        table.size,
        table.received,
        table.state,
        table.detail,
    )


def _source(connection: Connection, source_id: int | None) -> SourceRow | None:
    if source_id is None:
        return None
    found = connection.execute(
        select(*source_columns()).where(schema.source.c.id == source_id)
    ).first()
    return as_struct(found, SourceRow) if found is not None else None
