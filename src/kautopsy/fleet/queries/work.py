"""What the engine does, what failed, and figures."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, func, select

from kautopsy.fingerprint import VERSION
from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct
from kautopsy.fleet.nouns import Count, Ending, FleetStatus, JobRow, Outcome

_J = schema.job.c


def jobs(
    connection: Connection,
    *,
    state: str = "",
    failed: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> tuple[JobRow, ...]:
    """Analyses, the newest first.

    :param state: ``queued``, ``leased`` or ``done``
    :param failed: only those that ended otherwise than ok
    """
    source = schema.source.c
    statement = select(
        _J.id,
        _J.source_id,
        source.name,
        source.host_name.label("host"),
        _J.analysis,
        _J.state,
        _J.attempts,
        _J.outcome,
        _J.detail,
        _J.created,
        _J.finished,
        _J.seconds,
    ).join(schema.source, source.id == _J.source_id)
    if state:
        statement = statement.where(_J.state == state)
    if failed:
        statement = statement.where(_J.outcome != Outcome.OK.value)
    found = connection.execute(statement.order_by(_J.id.desc()).limit(limit).offset(offset))
    return tuple(as_struct(one, JobRow) for one in found)


def status(connection: Connection, *, database: str, revision: str) -> FleetStatus:
    """The whole store in figures.

    :param database: its address, without a password
    :param revision: of its schema
    """
    crash, source = schema.crash.c, schema.source.c
    deaths = select(func.count()).select_from(schema.crash).where(crash.fatal)
    silent = select(func.count()).where(schema.boot.c.ending == Ending.SILENT.value)
    stored = select(func.sum(source.size)).where(source.path != "", ~source.path.startswith("/"))
    group, signature = schema.group.c, schema.signature.c
    outdated = select(func.sum(signature.crashes)).where(
        signature.scheme == "exact", signature.version < VERSION
    )
    return FleetStatus(
        database=database,
        revision=revision,
        hosts=connection.scalar(select(func.count()).select_from(schema.host)) or 0,
        crashes=connection.scalar(select(func.count()).select_from(schema.crash)) or 0,
        deaths=connection.scalar(deaths) or 0,
        groups=_counts(connection, group.state, group.merged_into.is_(None), group.crashes > 0),
        sources=_counts(connection, source.kind),
        jobs=_counts(connection, _J.state),
        outcomes=_counts(connection, _J.outcome, _J.outcome.is_not(None)),
        failed=jobs(connection, failed=True, limit=20),
        stored_bytes=int(connection.scalar(stored) or 0),
        silent=connection.scalar(silent) or 0,
        outdated=int(connection.scalar(outdated) or 0),
    )


def _counts(
    connection: Connection, column: Column[str], *conditions: ColumnElement[bool]
) -> tuple[Count, ...]:
    statement = select(column, func.count()).where(*conditions).group_by(column).order_by(column)
    return tuple(Count(name=name, count=count) for name, count in connection.execute(statement))
