"""An answer of the doctor, or a drill, into the store."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.database import pack
from kautopsy.fleet.grouping.machines import see_hosts
from kautopsy.fleet.grouping.sighting import Machine
from kautopsy.fleet.upsert import insert_one
from kautopsy.model.drill import DrillRecord, StageStatus
from kautopsy.model.readiness import CheckStatus, DoctorDocument

_TOLD = (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN)


def record_readiness(
    connection: Connection,
    host: str,
    document: DoctorDocument,
    *,
    at: float,
    machine: Machine | None = None,
) -> int:
    """Keep what the doctor says of a host: the answer's number. One that is there stays."""
    host_id = _host(connection, host, at, machine)
    table = schema.readiness.c
    there = connection.scalar(select(table.id).where(table.host_id == host_id, table.at == at))
    if there is not None:
        return int(there)
    failed = [check for check in document.checks if check.status is CheckStatus.FAIL]
    reason = failed[0].summary if failed else ""
    readiness_id = insert_one(
        connection,
        schema.readiness,
        host_id=host_id,
        at=at,
        reached=True,
        ready=document.ready,
        reason=reason,
        document=pack(document),
    )
    rows = [
        {
            "readiness_id": readiness_id,
            "name": check.id[:64],
            "status": check.status.value,
            "summary": check.summary,
            "fix": check.fix,
        }
        for check in {check.id: check for check in document.checks}.values()
        if check.status in _TOLD
    ]
    if rows:
        connection.execute(schema.readiness_check.insert(), rows)
    table_host = schema.host.c
    connection.execute(
        update(schema.host)
        .where(table_host.id == host_id)
        .where(table_host.ready_at.is_(None) | (table_host.ready_at <= at))
        .values(ready=document.ready, ready_at=at)
    )
    return readiness_id


def record_unreached(connection: Connection, host: str, why: str, *, at: float) -> None:
    """Keep that a host did not answer: what is known of its readiness is not known any more."""
    table = schema.host.c
    host_id = connection.scalar(select(table.id).where(table.name == host))
    if host_id is None:
        host_id = _host(connection, host, at, None)
    insert_one(
        connection,
        schema.readiness,
        host_id=host_id,
        at=at,
        reached=False,
        ready=None,
        reason=why,
    )
    connection.execute(
        update(schema.host).where(table.id == host_id).values(ready=None, ready_at=at)
    )


def record_drill(connection: Connection, host: str, record: DrillRecord, *, at: float) -> int:
    """Keep a drill: its number. One whose nonce is there stays."""
    table = schema.drill
    there = connection.scalar(select(table.c.id).where(table.c.nonce == record.nonce))
    if there is not None:
        return int(there)
    failed = next((s for s in record.stages if s.status is StageStatus.FAILED), None)
    return insert_one(
        connection,
        table,
        host_id=_host(connection, host, at, None) if host else None,
        nonce=record.nonce,
        at=at,
        passed=record.passed,
        failed_stage=failed.name if failed else "",
        detail=failed.detail if failed else "",
        document=pack(record),
    )


def _host(connection: Connection, name: str, at: float, machine: Machine | None) -> int:
    row = {"name": name, "first_seen": at, "last_seen": at}
    if machine is not None:
        row |= {"model": machine.model, "firmware": machine.firmware, "cpu": machine.cpu}
    return see_hosts(connection, [row])[name]
