"""Leases: who analyses what, and until when.

A job is queued, leased (to a coordinator, until a time that it keeps moving on), or done with an
outcome. Whatever dies, its lease runs out and the job is given to another; what was lost twice is
quarantined. A result is stored in the transaction that ends the lease, and only by who holds it: so
nothing is stored twice.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, or_, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.intake.sources import ANALYSIS, queue
from kautopsy.fleet.nouns import Outcome, SourceKind

MOST_TRIES = 2
_J = schema.job.c
_S = schema.source.c


@dataclass(frozen=True)
class Job:
    """A dump to analyse: ``path`` as the store names it."""

    id: int
    source_id: int
    path: str
    name: str
    host: str
    received: float
    attempt: int
    analysis: str


def owner() -> str:
    """Names this process: ``host:pid:start``, where the last is of /proc/self/stat."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def claim(
    connection: Connection, who: str, *, count: int, lease: float, now: float | None = None
) -> tuple[Job, ...]:
    """Take up to ``count`` jobs, those that wait longest first.

    Jobs whose lease ran out are taken like new ones, or quarantined if that was their last try.
    """
    now = time.time() if now is None else now
    _give_up(connection, now)
    if count <= 0:
        return ()
    free = or_(_J.state == "queued", (_J.state == "leased") & (_J.lease_until <= now))
    rows = connection.execute(
        select(
            _J.id, _J.source_id, _J.attempts, _J.analysis,
            _S.path, _S.name, _S.host_name, _S.received,
        )
        .join(schema.source, _S.id == _J.source_id)
        .where(free)
        .order_by(_J.id)
        .limit(count)
    ).all()  # fmt: skip
    if rows:
        connection.execute(
            update(schema.job)
            .where(_J.id.in_([row.id for row in rows]))
            .values(
                state="leased",
                lease_owner=who,
                lease_until=now + lease,
                attempts=_J.attempts + 1,
                started=now,
            )
        )
    return tuple(
        Job(
            id=row.id,
            source_id=row.source_id,
            path=row.path,
            name=row.name,
            host=row.host_name,
            received=row.received,
            attempt=row.attempts + 1,
            analysis=row.analysis,
        )
        for row in rows
    )


def _give_up(connection: Connection, now: float) -> None:
    connection.execute(
        update(schema.job)
        .where(_J.state == "leased", _J.lease_until <= now, _J.attempts >= MOST_TRIES)
        .values(
            state="done",
            outcome=Outcome.QUARANTINED.value,
            detail=f"lost {MOST_TRIES} times without an answer: who analysed it died",
            finished=now,
        )
    )


def renew(connection: Connection, who: str, *, lease: float, now: float | None = None) -> int:
    """Move all leases of ``who`` on: how many there are."""
    now = time.time() if now is None else now
    done = connection.execute(
        update(schema.job)
        .where(_J.state == "leased", _J.lease_owner == who)
        .values(lease_until=now + lease)
    )
    return done.rowcount


def holds(connection: Connection, job_id: int, who: str) -> bool:
    """Whether ``who`` still has the lease of a job."""
    return (
        connection.scalar(
            select(func.count())
            .select_from(schema.job)
            .where(_J.id == job_id, _J.state == "leased", _J.lease_owner == who)
        )
        == 1
    )


def finish(
    connection: Connection,
    job_id: int,
    outcome: Outcome,
    *,
    detail: str = "",
    seconds: float | None = None,
    now: float | None = None,
) -> None:
    """The job is done."""
    connection.execute(
        update(schema.job)
        .where(_J.id == job_id)
        .values(
            state="done",
            outcome=outcome.value,
            detail=detail,
            seconds=seconds,
            finished=time.time() if now is None else now,
            lease_owner="",
            lease_until=None,
        )
    )


def give_back(
    connection: Connection, who: str, job_ids: list[int] | None = None, *, count: bool = False
) -> int:
    """Put jobs of ``who`` back into the queue: how many.

    :param job_ids: which; None: all of them
    :param count: whether the try counts (it was lost) or not (it never began, or we stop)
    """
    conditions = [_J.state == "leased", _J.lease_owner == who]
    if job_ids is not None:
        conditions.append(_J.id.in_(job_ids))
    if count:
        # Its lease has run out: claim() decides whether there is another try.
        values: dict[str, object] = {"lease_until": 0.0}
    else:
        values = {
            "state": "queued",
            "lease_owner": "",
            "lease_until": None,
            "attempts": _J.attempts - 1,
        }
    return connection.execute(update(schema.job).where(*conditions).values(**values)).rowcount


def take_over_from_the_dead(connection: Connection) -> int:
    """End the leases of processes of this machine that are no more: how many.

    After a kill nobody waits for the lease to run out.
    """
    ours = f"{socket.gethostname()}:"
    owners = connection.scalars(select(_J.lease_owner).where(_J.state == "leased").distinct()).all()
    ended = 0
    for who in owners:
        if who.startswith(ours) and not _alive(who):
            ended += give_back(connection, who, count=True)
    return ended


def queue_again(connection: Connection, *, failed: bool = False, everything: bool = False) -> int:
    """Queue the dumps that are kept and that this kautopsy has not analysed: how many.

    :param failed: also those whose analysis ended otherwise than ok
    :param everything: also those that it has analysed
    """
    now = time.time()
    kept = connection.execute(
        select(_S.id, _S.path).where(_S.kind == SourceKind.DUMP.value, _S.path != "")
    ).all()
    count = sum(queue(connection, row.id, now) for row in kept)
    if failed or everything:
        conditions = [_J.analysis == ANALYSIS, _J.state == "done"]
        conditions.append(_J.source_id.in_(select(_S.id).where(_S.path != "")))
        if not everything:
            conditions.append(_J.outcome != Outcome.OK.value)
        count += connection.execute(
            update(schema.job)
            .where(*conditions)
            .values(state="queued", attempts=0, outcome=None, detail="", finished=None)
        ).rowcount
    return count


def waiting(connection: Connection) -> int:
    """Jobs that are not done."""
    return (
        connection.scalar(select(func.count()).select_from(schema.job).where(_J.state != "done"))
        or 0
    )


def _alive(who: str) -> bool:
    _host, pid, started = who.rsplit(":", 2)
    return pid.isdigit() and _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks (field 22 of its stat); "" if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rsplit(")", 1)[1].split()[19]
