"""Keys that name a bug: found, or made with a group of their own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, select, tuple_

from kautopsy.fingerprint import VERSION
from kautopsy.fingerprint.exact import significant
from kautopsy.fingerprint.features import features
from kautopsy.fleet import schema
from kautopsy.fleet.nouns import GroupState
from kautopsy.fleet.upsert import insert_one
from kautopsy.model.crash import Crash, Kind
from kautopsy.model.report import Report

Key = tuple[str, int, str]
"""Of a signature: scheme, version, key."""

# Of these a console names a victim: who is guilty only a dump knows, and its key names him.
_CAUSES = frozenset(
    {
        Kind.DEADLOCK,
        Kind.IO_HANG,
        Kind.SPINLOCK_STUCK,
        Kind.MEMORY_LEAK,
        Kind.OUT_OF_MEMORY,
        Kind.WORKQUEUE_STALL,
        Kind.HUNG_TASK,
    }
)
_SURE = 0.5


def signature_key(exact: str, report: Report | None) -> Key:
    """The signature of a crash."""
    verdict = report.verdict if report is not None and report.dump is not None else None
    if verdict is None:
        return ("exact", VERSION, exact)
    return cause_of(exact, verdict.kind.value, verdict.key, verdict.confidence)


def cause_of(exact: str, kind: str, key: str, confidence: float | None) -> Key:
    """The signature by a dump's verdict: its key where the console only names a victim, and the
    exact one where it does not.
    """
    sure = confidence is not None and confidence >= _SURE
    if sure and kind in _CAUSES and key and "?" not in key and key != kind:
        return ("cause", 1, key[:255])
    return ("exact", VERSION, exact)


def find_signatures(connection: Connection, keys: Sequence[Key]) -> dict[Key, tuple[int, int]]:
    """Those of ``keys`` that are known: key → (signature's id, group's id)."""
    table = schema.signature
    found: dict[Key, tuple[int, int]] = {}
    for start in range(0, len(keys), 400):
        part = list(keys[start : start + 400])
        rows = connection.execute(
            select(
                table.c.scheme, table.c.version, table.c.key, table.c.id, table.c.group_id
            ).where(tuple_(table.c.scheme, table.c.version, table.c.key).in_(part))
        )
        found.update({(s, v, k): (number, group) for s, v, k, number, group in rows})
    return found


def new_signature(
    connection: Connection,
    key: Key,
    crash: Crash,
    *,
    title: str,
    at: float,
    now: float,
    group_id: int | None = None,
    why: str = "",
    by: str = "kautopsy",
) -> tuple[int, int]:
    """A signature nobody has seen, in a group of its own unless ``group_id`` is given: their ids.

    A new group is told to people by a notice.
    """
    scheme, version, name = key
    if group_id is None:
        group_id = insert_one(
            connection,
            schema.group,
            title=title,
            kind=crash.kind.value,
            state=GroupState.NEW.value,
            first_seen=at,
            last_seen=at,
            created=now,
        )
        connection.execute(
            schema.notice.insert().values(kind="new-group", group_id=group_id, at=now)
        )
        why = why or _WHY[scheme]
    signature_id = insert_one(
        connection,
        schema.signature,
        scheme=scheme,
        version=version,
        key=name,
        group_id=group_id,
        why=why,
        by=by,
        title=title,
        first_seen=at,
        features=msgspec.msgpack.encode(features(crash)),
    )
    frames = significant(crash) or tuple(frame for frame in crash.frames if frame.function)
    rows = [
        {
            "signature_id": signature_id,
            "depth": depth,
            "function": frame.function or "",
            "module": frame.module or "",
        }
        for depth, frame in enumerate(frames[:64])
    ]
    if rows:
        connection.execute(schema.frame.insert(), rows)
    return signature_id, group_id


_WHY = {
    "exact": "the first crash with this fingerprint",
    "cause": "the first dump whose verdict has this cause",
    "manual": "taken apart by hand",
}
