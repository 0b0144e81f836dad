"""What is kept: of every group some dumps and crashes in full, of the rest that they happened.

Exemplars of a group are its first crashes, its newest, those with a dump before those without, and
those whose verdict is surest. Rows are never deleted: who crashed when stays known for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.intake.edge import stored_bytes
from kautopsy.fleet.settings import Settings

_C = schema.crash.c
_S = schema.source.c
_KEPT_IN_FULL = 200
"""Crashes of a group whose details (registers, modules) are kept besides its exemplars."""


@dataclass(frozen=True)
class Kept:
    """What retention did: files it deleted, their bytes, crashes whose details it dropped."""

    deleted: int
    freed_bytes: int
    thinned: int


def retain(database: Database, data: DataFolder, settings: Settings) -> Kept:
    """Choose exemplars, and delete what is beyond them; then, while the disk budget is overdrawn,
    dumps of exemplars too, of those groups first that have most.
    """
    with database.write() as connection:
        for group_id in connection.scalars(
            select(schema.group.c.id).where(schema.group.c.crashes > 0)
        ).all():
            _choose(connection, group_id, settings.exemplars)
        thinned = _thin(connection)
        doomed = _beyond(connection)
        if settings.disk_budget:
            doomed += _over_budget(connection, settings.disk_budget, doomed)
        # The row first: a file without a row is a leftover, a row without a file a lie.
        for source_id, _path, _size in doomed:
            connection.execute(
                update(schema.source)
                .where(_S.id == source_id)
                .values(path="", state="discarded", detail="retention")
            )
    for _source, path, _size in doomed:
        data.remove(path)
    return Kept(
        deleted=len(doomed), freed_bytes=sum(size for _, _, size in doomed), thinned=thinned
    )


def _choose(connection: Connection, group_id: int, count: int) -> None:
    """Mark the exemplars of a group."""
    confidence = (
        select(func.max(schema.report.c.confidence))
        .where(schema.report.c.crash_id == _C.id)
        .scalar_subquery()
    )
    first = select(_C.id).where(_C.group_id == group_id).order_by(_C.at, _C.id).limit(1)
    newest = (
        select(_C.id).where(_C.group_id == group_id).order_by(_C.at.desc(), _C.id.desc()).limit(1)
    )
    best = (
        select(_C.id)
        .where(_C.group_id == group_id, _C.document.is_not(None))
        .order_by((_C.origin == "dump").desc(), func.coalesce(confidence, 0).desc(), _C.at, _C.id)
        .limit(count)
    )
    chosen = list(
        dict.fromkeys(
            [
                *connection.scalars(best).all(),
                *connection.scalars(newest).all(),
                *connection.scalars(first).all(),
            ]
        )
    )[: max(count, 1)]
    connection.execute(
        update(schema.crash).where(_C.group_id == group_id, _C.exemplar).values(exemplar=False)
    )
    connection.execute(update(schema.crash).where(_C.id.in_(chosen)).values(exemplar=True))


def _thin(connection: Connection) -> int:
    """Drop the details of crashes of large groups, but the exemplars' and the newest ones'."""
    thinned = 0
    large = select(schema.group.c.id).where(schema.group.c.crashes > _KEPT_IN_FULL)
    for group_id in connection.scalars(large).all():
        keep = (
            select(_C.id)
            .where(_C.group_id == group_id)
            .order_by(_C.at.desc(), _C.id.desc())
            .limit(_KEPT_IN_FULL)
        )
        done = connection.execute(
            update(schema.crash)
            .where(_C.group_id == group_id, ~_C.exemplar, _C.document.is_not(None))
            .where(_C.id.not_in(keep))
            .values(document=None)
        )
        thinned += done.rowcount
    return thinned


def _beyond(connection: Connection) -> list[tuple[int, str, int]]:
    """Files of ours all of whose crashes are no exemplars, once they were analysed."""
    has_exemplar = (
        select(_C.id).where(_C.source_id == _S.id, _C.exemplar).correlate(schema.source).exists()
    )
    has_crash = select(_C.id).where(_C.source_id == _S.id).correlate(schema.source).exists()
    rows = connection.execute(
        select(_S.id, _S.path, _S.size)
        .where(_S.path != "", ~_S.path.startswith("/"), _S.state == "done")
        .where(has_crash, ~has_exemplar)
    )
    return [(number, path, size) for number, path, size in rows]


def _over_budget(
    connection: Connection, budget: int, doomed: list[tuple[int, str, int]]
) -> list[tuple[int, str, int]]:
    gone = {number for number, _, _ in doomed}
    used = stored_bytes(connection) - sum(size for _, _, size in doomed)
    rank = func.row_number().over(partition_by=_C.group_id, order_by=(_C.at, _C.id))
    ranked = select(_C.source_id, rank.label("n")).where(_C.source_id.is_not(None)).subquery()
    rows = connection.execute(
        select(_S.id, _S.path, _S.size, func.min(ranked.c.n).label("n"))
        .join(ranked, ranked.c.source_id == _S.id)
        .where(_S.path != "", ~_S.path.startswith("/"), _S.state == "done")
        .group_by(_S.id, _S.path, _S.size)
        .order_by(func.min(ranked.c.n).desc(), _S.size.desc())
    ).all()
    more = []
    for number, path, size, _n in rows:
        if used <= budget:
            break
        if number not in gone:
            more.append((number, path, size))
            used -= size
    return more
