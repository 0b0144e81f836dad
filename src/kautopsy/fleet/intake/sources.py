"""Rows of what came in: found by content, or made; and the work that a dump asks for."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from kautopsy import __version__
from kautopsy.fingerprint import VERSION
from kautopsy.fleet import schema
from kautopsy.fleet.nouns import SourceKind
from kautopsy.fleet.upsert import insert_one, upsert

ANALYSIS = f"{__version__}/{VERSION}"
"""Names the analysis: of one source by one analysis there is one report."""

_S = schema.source.c


def find_or_add(
    connection: Connection,
    *,
    content: str,
    kind: SourceKind,
    name: str,
    path: str,
    host: str,
    size: int,
    now: float,
    sent_by: str = "",
) -> tuple[int, str]:
    """The number of a source and its state; a new one is ``pending``.

    A log that has grown is the source that it was: found by its path and host.
    """
    found = connection.execute(
        select(_S.id, _S.state, _S.path).where(_S.content == content, _S.host_name == host)
    ).first()
    if found is not None:
        if path and not found.path:
            connection.execute(update(schema.source).where(_S.id == found.id).values(path=path))
        return found.id, found.state
    if kind is SourceKind.LOG and path.startswith("/"):
        grown = connection.scalar(
            select(_S.id).where(_S.path == path, _S.host_name == host, _S.kind == kind.value)
        )
        if grown is not None:
            connection.execute(
                update(schema.source)
                .where(_S.id == grown)
                .values(content=content, size=size, received=now, state="pending")
            )
            return grown, "pending"
    number = insert_one(
        connection,
        schema.source,
        content=content,
        kind=kind.value,
        name=name,
        path=path,
        host_name=host,
        size=size,
        received=now,
        sent_by=sent_by,
    )
    return number, "pending"


def set_state(connection: Connection, source_id: int, state: str, detail: str = "") -> None:
    """``pending``, ``done``, ``discarded`` or ``refused``; the detail says why."""
    connection.execute(
        update(schema.source).where(_S.id == source_id).values(state=state, detail=detail)
    )


def queue(connection: Connection, source_id: int, now: float, *, analysis: str = ANALYSIS) -> bool:
    """Ask for the analysis of a dump; False where it was asked for before."""
    before = connection.scalar(
        select(schema.job.c.id).where(
            schema.job.c.source_id == source_id, schema.job.c.analysis == analysis
        )
    )
    if before is not None:
        return False
    upsert(
        connection,
        schema.job,
        [{"source_id": source_id, "analysis": analysis, "created": now}],
        keys=["source_id", "analysis"],
    )
    return True
