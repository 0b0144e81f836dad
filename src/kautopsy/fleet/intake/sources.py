"""Rows of what came in: found by content, or made; and the work that a dump asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from kautopsy import __version__
from kautopsy.fingerprint import VERSION
from kautopsy.fleet import schema
from kautopsy.fleet.nouns import SourceKind
from kautopsy.fleet.upsert import insert_many, upsert

ANALYSIS = f"{__version__}/{VERSION}"
"""Names the analysis: of one source by one analysis there is one report."""

_S = schema.source.c


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What came in: the columns of ``source``."""

    content: str
    kind: SourceKind
    name: str
    path: str
    host: str
    size: int
    sent_by: str = ""


def find_or_add(
    connection: Connection, arrivals: Sequence[Arrival], *, now: float
) -> list[tuple[int, str]]:
    """The number of each source and its state; a new one is ``pending``.

    A log that has grown is the source that it was: found by its path and host.
    """
    rows = connection.execute(
        select(_S.content, _S.host_name, _S.id, _S.state, _S.path).where(
            _S.content.in_({one.content for one in arrivals})
        )
    )
    known = {(content, host): (number, state, path) for content, host, number, state, path in rows}
    new = {key: one for one in arrivals if (key := (one.content, one.host)) not in known}
    grown = _grown(connection, list(new.values()), now)
    missing = [one for key, one in new.items() if key not in grown]
    added = insert_many(
        connection,
        schema.source,
        [
            {
                "content": one.content,
                "kind": one.kind.value,
                "name": one.name,
                "path": one.path,
                "host_name": one.host,
                "size": one.size,
                "received": now,
                "sent_by": one.sent_by,
            }
            for one in missing
        ],
    )
    numbers = grown | {
        (one.content, one.host): number for one, number in zip(missing, added, strict=True)
    }
    known |= {key: (numbers[key], "pending", one.path) for key, one in new.items()}
    found = []
    for one in arrivals:
        number, state, path = known[(one.content, one.host)]
        if one.path and not path:
            connection.execute(update(schema.source).where(_S.id == number).values(path=one.path))
        found.append((number, state))
    return found


def _grown(
    connection: Connection, arrivals: Sequence[Arrival], now: float
) -> dict[tuple[str, str], int]:
    """Logs that lie where another content of theirs lay: content and host → number."""
    logs = {
        (one.path, one.host): one
        for one in arrivals
        if one.kind is SourceKind.LOG and one.path.startswith("/")
    }
    rows = connection.execute(
        select(_S.path, _S.host_name, _S.id)
        .where(_S.path.in_({path for path, _host in logs}), _S.kind == SourceKind.LOG.value)
        .order_by(_S.id)
    ).all()
    found: dict[tuple[str, str], int] = {}
    for path, host, number in rows:
        one = logs.pop((path, host), None)
        if one is not None:
            connection.execute(
                update(schema.source)
                .where(_S.id == number)
                .values(content=one.content, size=one.size, received=now, state="pending")
            )
            found[(one.content, one.host)] = number
    return found


def set_state(connection: Connection, source_id: int, state: str, detail: str = "") -> None:
    """``pending``, ``done``, ``discarded`` or ``refused``; the detail says why."""
    connection.execute(
        update(schema.source).where(_S.id == source_id).values(state=state, detail=detail)
    )


def set_done(connection: Connection, source_ids: Sequence[int]) -> None:
    """All that stood in these is stored."""
    if source_ids:
        connection.execute(
            update(schema.source).where(_S.id.in_(source_ids)).values(state="done", detail="")
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
