"""Groups anew, after an upgrade of the fingerprint or the analysis: offline, from what is stored.

Crashes whose key changed move to the signature that has it now. A signature that is new keeps the
number, state, owner and notes of the group that most of its crashes were in. Then people's
decisions are made again, in their order. What moved is told.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database, unpack
from kautopsy.fleet.grouping.decide import join, leave, take_apart
from kautopsy.fleet.grouping.event import exact_key
from kautopsy.fleet.grouping.reports import move
from kautopsy.fleet.grouping.signatures import First, Key, cause_of, find_signatures, new_signature
from kautopsy.fleet.nouns import Moved
from kautopsy.model.crash import Crash, Kind

_C = schema.crash.c
_PART = 2000


@dataclass(frozen=True)
class _Change:
    """A crash whose key is another now."""

    id: int
    group_id: int
    exact: str
    key: Key


def recompute(database: Database) -> tuple[Moved, ...]:
    """Do it: what moved from where to where, the most first."""
    with database.write() as connection:
        before = _groups(connection)
        changes = _changes(connection)
        _apply(connection, changes)
        _decide_again(connection)
        _forget_empty(connection)
        after = _groups(connection)
        return _moved(connection, before, after)


def _groups(connection: Connection) -> dict[int, int]:
    return {row.id: row.group_id for row in connection.execute(select(_C.id, _C.group_id))}


def _changes(connection: Connection) -> list[_Change]:
    """Crashes whose key is not the one of their signature. Those of which no details are kept
    follow the others of their signature.
    """
    signature, report = schema.signature.c, schema.report.c
    found: list[_Change] = []
    heirs: dict[int, Counter[tuple[str, Key]]] = defaultdict(Counter)
    bare: list[tuple[int, int, int]] = []
    newest: dict[int, tuple[str, str, float | None]] = {}
    for crash_id, kind, key, confidence in connection.execute(
        select(report.crash_id, report.verdict_kind, report.verdict_key, report.confidence)
        .join(schema.dump, schema.dump.c.source_id == report.source_id)
        .order_by(report.made, report.id)
    ):
        newest[crash_id] = (kind, key, confidence)
    rows = connection.execute(
        select(
            _C.id, _C.group_id, _C.document, _C.exact,
            signature.id.label("signature_id"), signature.scheme, signature.version, signature.key,
        )
        .join(schema.signature, signature.id == _C.signature_id)
        .where(signature.scheme != "manual")
        .order_by(_C.id)
        .execution_options(yield_per=_PART)
    )  # fmt: skip
    for row in rows:
        if row.document is None:
            bare.append((row.id, row.group_id, row.signature_id))
            continue
        crash = unpack(row.document, Crash)
        exact = exact_key(crash)
        key = cause_of(exact, *newest.get(row.id, ("", "", None)))
        heirs[row.signature_id][(exact, key)] += 1
        if key != (row.scheme, row.version, row.key) or exact != row.exact:
            found.append(_Change(row.id, row.group_id, exact, key))
    for number, group_id, signature_id in bare:
        if heirs[signature_id]:
            (exact, key), _count = heirs[signature_id].most_common(1)[0]
            found.append(_Change(number, group_id, exact, key))
    return found


def _apply(connection: Connection, changes: list[_Change]) -> None:
    by_key: dict[Key, list[_Change]] = defaultdict(list)
    for change in changes:
        by_key[change.key].append(change)
        connection.execute(
            schema.crash.update().where(_C.id == change.id).values(exact=change.exact)
        )
    known = find_signatures(connection, list(by_key))
    taken: set[int] = set()
    for key, moving in sorted(by_key.items(), key=lambda item: -len(item[1])):
        target = known.get(key)
        if target is None:
            group_id = Counter(change.group_id for change in moving).most_common(1)[0][0]
            row = connection.execute(
                select(_C.document, _C.title, _C.kind, _C.at).where(_C.id == moving[0].id)
            ).one()
            crash = (
                unpack(row.document, Crash)
                if row.document is not None
                else Crash(kind=Kind(row.kind), title=row.title)
            )
            # One group must not pass to two signatures that parted: the larger inherits.
            heir = group_id if group_id not in taken else None
            taken.add(group_id)
            first = First(
                key=key,
                crash=crash,
                title=row.title,
                at=row.at,
                group_id=heir,
                why="its crashes were in this group before the keys were computed anew",
            )
            target = new_signature(connection, first, now=time.time())
        move(connection, [change.id for change in moving], *target)


def _decide_again(connection: Connection) -> None:
    decision = schema.decision
    one, other = schema.crash.alias(), schema.crash.alias()
    rows = connection.execute(
        select(
            decision.c.kind, decision.c.why, decision.c.by, decision.c.other_event,
            one.c.id, one.c.group_id, one.c.signature_id,
            other.c.group_id.label("other_group"), other.c.signature_id.label("other_signature"),
        )
        .join(one, one.c.event == decision.c.one_event)
        .join(other, other.c.event == decision.c.other_event)
        .order_by(decision.c.id)
    ).all()  # fmt: skip
    for row in rows:
        now = connection.execute(select(_C.group_id, _C.signature_id).where(_C.id == row.id)).one()
        then = connection.execute(
            select(_C.group_id, _C.signature_id).where(_C.event == row.other_event)
        ).one()
        if row.kind == "same" and now.group_id != then.group_id:
            join(
                connection, now.group_id, then.group_id, by=row.by, why=row.why or "merged by hand"
            )
        elif (
            row.kind == "different"
            and now.group_id == then.group_id
            and now.signature_id != then.signature_id
        ):
            leave(
                connection,
                now.group_id,
                now.signature_id,
                by=row.by,
                why=row.why or "told different by hand",
            )
        elif row.kind == "apart" and now.signature_id != then.signature_id:
            take_apart(connection, [row.id], row.other_event, by=row.by, why=row.why)


def _forget_empty(connection: Connection) -> None:
    """Signatures that no crash has any more."""
    signature = schema.signature
    empty = select(signature.c.id).where(
        ~select(_C.id).where(_C.signature_id == signature.c.id).exists()
    )
    connection.execute(delete(schema.frame).where(schema.frame.c.signature_id.in_(empty)))
    connection.execute(delete(signature).where(signature.c.id.in_(empty)))


def _moved(
    connection: Connection, before: dict[int, int], after: dict[int, int]
) -> tuple[Moved, ...]:
    flows = Counter(
        (group, after[number]) for number, group in before.items() if after[number] != group
    )
    group = schema.group.c
    titles = {row.id: row.title for row in connection.execute(select(group.id, group.title))}
    return tuple(
        Moved(
            from_group=one,
            from_title=titles[one],
            to_group=other,
            to_title=titles[other],
            crashes=count,
        )
        for (one, other), count in flows.most_common()
    )
