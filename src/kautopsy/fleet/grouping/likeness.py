"""Groups that are probably the same bug, ranked, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, func, or_, select

from kautopsy.fingerprint.features import Features
from kautopsy.fingerprint.ranking import Known, Ranking
from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.decide import told_different
from kautopsy.fleet.upsert import upsert

LEAST = 0.4
"""Of the ranking's score: below, alike is too much said."""
MOST = 5
"""Likenesses of a group."""
_MOST_GROUPS = 20_000
_UP_TO = "likeness-up-to"
_TELLING = ("frames:", "calls:", "functions:")
_SAME_CONSOLE = "the console's text is the same: the dump of one tells the cause"


@dataclass(frozen=True)
class Likenesses:
    """Pairs of groups, the lower number first, with score and reasons; and what was compared.

    :param up_to: the newest group there was
    :param everything: all groups were compared, not only new ones
    """

    pairs: dict[tuple[int, int], tuple[float, list[str]]]
    up_to: int
    everything: bool


def refresh(database: Database, *, everything: bool = False) -> int:
    """Compare groups that are new since it was done last with all others: how many pairs.

    Nobody waits while it is computed.

    :param everything: all groups anew
    """
    with database.read() as connection:
        found = compute(connection, everything=everything)
    if found is None:
        return 0
    with database.write() as connection:
        _store(connection, found)
    return len(found.pairs)


def compute(connection: Connection, *, everything: bool = False) -> Likenesses | None:
    """What is alike; None where no group is new."""
    meta = schema.meta.c
    done = 0
    if not everything:
        done = int(connection.scalar(select(meta.value).where(meta.key == _UP_TO)) or 0)
    newest = connection.scalar(select(func.max(schema.group.c.id))) or 0
    if newest <= done:
        return None
    groups = _groups(connection)
    wanted = [number for number in groups if number > done]
    pairs = _pairs(groups, wanted, told_different(connection))
    for pair in _same_console(connection, set(wanted)):
        _score, why = pairs.get(pair, (1.0, []))
        pairs[pair] = (1.0, [_SAME_CONSOLE, *why])
    return Likenesses(pairs, newest, everything)


def _store(connection: Connection, found: Likenesses) -> None:
    if found.everything:
        connection.execute(delete(schema.likeness))
    # Somebody may have merged or told apart meanwhile.
    different = told_different(connection)
    group = schema.group.c
    live = set(connection.scalars(select(group.id).where(group.merged_into.is_(None))))
    upsert(
        connection,
        schema.likeness,
        [
            {"one_id": one, "other_id": other, "score": score, "why": json.dumps(why)}
            for (one, other), (score, why) in found.pairs.items()
            if (one, other) not in different and {one, other} <= live
        ],
        keys=["one_id", "other_id"],
        replace=["score", "why"],
    )
    upsert(
        connection,
        schema.meta,
        [{"key": _UP_TO, "value": str(found.up_to)}],
        keys=["key"],
        replace=["value"],
    )


def _groups(connection: Connection) -> dict[int, Features]:
    """What stands for each group: the features of its largest signature."""
    group, signature = schema.group.c, schema.signature.c
    recent = (
        select(group.id)
        .where(group.merged_into.is_(None), group.crashes > 0)
        .order_by(group.last_seen.desc())
        .limit(_MOST_GROUPS)
    )
    found: dict[int, Features] = {}
    for number, raw in connection.execute(
        select(signature.group_id, signature.features)
        .where(signature.group_id.in_(recent), signature.features.is_not(None))
        .order_by(signature.group_id, signature.crashes.desc(), signature.id)
    ):
        if number not in found:
            found[number] = msgspec.msgpack.decode(raw, type=Features)
    return found


def _pairs(
    groups: dict[int, Features], wanted: Sequence[int], different: set[tuple[int, int]]
) -> dict[tuple[int, int], tuple[float, list[str]]]:
    ranking = Ranking([Known(str(number), features) for number, features in groups.items()])
    found: dict[tuple[int, int], tuple[float, list[str]]] = {}
    for number in wanted:
        for match in ranking.nearest(groups[number], MOST, but=str(number)):
            other = int(match.id)
            pair = (min(number, other), max(number, other))
            # Two reports without a stack are alike by release and common words, and no more.
            telling = any(why.startswith(_TELLING) for why in match.why)
            if match.score >= LEAST and telling and pair not in different:
                found[pair] = (match.score, list(match.why))
    return found


def _same_console(connection: Connection, wanted: set[int]) -> set[tuple[int, int]]:
    """A group by cause and the group of its exact key: the same words on the console."""
    crash, signature = schema.crash.c, schema.signature.c
    exact = schema.signature.alias()
    rows = connection.execute(
        select(crash.group_id, exact.c.group_id)
        .join(schema.signature, signature.id == crash.signature_id)
        .join(exact, (exact.c.key == crash.exact) & (exact.c.scheme == "exact"))
        .where(signature.scheme == "cause", crash.group_id != exact.c.group_id)
        .where(or_(crash.group_id.in_(wanted), exact.c.group_id.in_(wanted)))
        .distinct()
    )
    return {(min(a, b), max(a, b)) for a, b in rows}
