"""Merge, split, "not the same": done now, and remembered by events for whenever groups are made
anew.

Groups are made of signatures. To merge is to give one group's signatures to the other; to split is
to give crashes a signature of their own (scheme ``manual``, its key the first one's event).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, or_, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.database import unpack
from kautopsy.fleet.grouping.reports import move, recount
from kautopsy.fleet.grouping.signatures import First, find_signatures, new_signature
from kautopsy.fleet.upsert import insert_one
from kautopsy.model.crash import Crash, Kind

_C = schema.crash.c
_G = schema.group.c
_D = schema.decision.c


def merge(connection: Connection, one: int, other: int, *, by: str, why: str) -> None:
    """Group ``one`` goes into ``other``, and so it stays."""
    events = first_event(connection, one), first_event(connection, other)
    remember(connection, "same", events, by, why)
    join(connection, one, other, by=by, why=why or f"merged by {by}")


def join(connection: Connection, one: int, other: int, *, by: str, why: str) -> None:
    """Give the signatures and crashes of ``one`` to ``other``; its number leads there."""
    signature, crash = schema.signature, schema.crash
    connection.execute(
        update(signature).where(signature.c.group_id == one).values(group_id=other, why=why, by=by)
    )
    connection.execute(update(crash).where(_C.group_id == one).values(group_id=other))
    connection.execute(update(schema.group).where(_G.id == one).values(merged_into=other))
    for table in (schema.link, schema.notice):
        connection.execute(update(table).where(table.c.group_id == one).values(group_id=other))
    note = schema.note
    connection.execute(
        update(note)
        .where(note.c.subject == "group", note.c.subject_id == one)
        .values(subject_id=other)
    )
    forget_likeness(connection, one)
    recount(connection, {one, other})


def split(
    connection: Connection, group_id: int, crash_ids: Sequence[int], *, by: str, why: str
) -> int:
    """Crashes of a group become a group of their own: its number."""
    rows = connection.execute(
        select(_C.id, _C.event).where(_C.id.in_(crash_ids)).order_by(_C.at, _C.id)
    ).all()
    first = rows[0]
    for row in rows:
        remember(connection, "apart", (row.event, first.event), by, why)
    return take_apart(connection, [row.id for row in rows], first.event, by=by, why=why)


def take_apart(
    connection: Connection, crash_ids: list[int], event: str, *, by: str, why: str
) -> int:
    """Give crashes the signature that ``event`` names: its group's number."""
    key = ("manual", 1, event)
    known = find_signatures(connection, [key]).get(key)
    if known is None:
        row = connection.execute(
            select(_C.document, _C.title, _C.kind, _C.at).where(_C.event == event)
        ).one()
        crash = (
            unpack(row.document, Crash)
            if row.document is not None
            else Crash(kind=Kind(row.kind), title=row.title)
        )
        first = First(
            key=key,
            crash=crash,
            title=row.title,
            at=row.at,
            why=why or f"taken apart by {by}",
            by=by,
        )
        known = new_signature(connection, first, now=time.time())
    move(connection, crash_ids, *known)
    return known[1]


def different(connection: Connection, one: int, other: int, *, by: str, why: str) -> None:
    """Two groups are two bugs, whatever the ranking says."""
    events = first_event(connection, one), first_event(connection, other)
    remember(connection, "different", events, by, why)
    low, high = sorted((one, other))
    table = schema.likeness
    connection.execute(delete(table).where(table.c.one_id == low, table.c.other_id == high))


def part(connection: Connection, group_id: int, signature_id: int, *, by: str, why: str) -> int:
    """A signature leaves its group for one of its own: that group's number."""
    one = event_of_signature(connection, signature_id)
    rest = connection.scalar(
        select(_C.event)
        .where(_C.group_id == group_id, _C.signature_id != signature_id)
        .order_by(_C.id)
        .limit(1)
    )
    if one is not None and rest is not None:
        remember(connection, "different", (one, rest), by, why)
    return leave(connection, group_id, signature_id, by=by, why=why or f"parted by {by}")


def leave(connection: Connection, group_id: int, signature_id: int, *, by: str, why: str) -> int:
    """Put a signature and its crashes into a new group: its number."""
    signature = schema.signature
    row = connection.execute(select(signature).where(signature.c.id == signature_id)).one()
    kind = connection.scalar(
        select(_C.kind).where(_C.signature_id == signature_id).order_by(_C.id).limit(1)
    )
    number = insert_one(
        connection,
        schema.group,
        title=row.title,
        kind=kind or Kind.UNKNOWN.value,
        first_seen=row.first_seen,
        last_seen=row.first_seen,
        created=time.time(),
    )
    connection.execute(
        update(signature)
        .where(signature.c.id == signature_id)
        .values(group_id=number, why=why, by=by)
    )
    connection.execute(
        update(schema.crash).where(_C.signature_id == signature_id).values(group_id=number)
    )
    recount(connection, {group_id, number})
    return number


def remember(connection: Connection, kind: str, events: tuple[str, str], by: str, why: str) -> None:
    """Keep a decision; a later one about the same two crashes takes its place."""
    one_event, other_event = events
    connection.execute(
        delete(schema.decision).where(
            or_(
                (_D.one_event == one_event) & (_D.other_event == other_event),
                (_D.one_event == other_event) & (_D.other_event == one_event),
            )
        )
    )
    connection.execute(
        schema.decision.insert().values(
            kind=kind, one_event=one_event, other_event=other_event, why=why, by=by, at=time.time()
        )
    )


def first_event(connection: Connection, group_id: int) -> str:
    """The event that stands for a group: of its first crash."""
    return str(
        connection.scalar(select(_C.event).where(_C.group_id == group_id).order_by(_C.id).limit(1))
    )


def event_of_signature(connection: Connection, signature_id: int) -> str | None:
    """The event that stands for a signature: of its first crash."""
    return connection.scalar(
        select(_C.event).where(_C.signature_id == signature_id).order_by(_C.id).limit(1)
    )


def forget_likeness(connection: Connection, group_id: int) -> None:
    """Drop what is probably the same as a group."""
    table = schema.likeness
    connection.execute(
        delete(table).where(or_(table.c.one_id == group_id, table.c.other_id == group_id))
    )


def told_different(connection: Connection) -> set[tuple[int, int]]:
    """Pairs of groups, the lower number first, that a person called two bugs."""
    one, other = schema.crash.alias(), schema.crash.alias()
    rows = connection.execute(
        select(one.c.group_id, other.c.group_id)
        .select_from(schema.decision)
        .join(one, one.c.event == _D.one_event)
        .join(other, other.c.event == _D.other_event)
        .where(_D.kind == "different")
    )
    return {(min(a, b), max(a, b)) for a, b in rows}
