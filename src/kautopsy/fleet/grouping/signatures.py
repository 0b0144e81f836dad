"""Keys that name a bug: found, or made with a group of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from kautopsy.fingerprint import VERSION
from kautopsy.fingerprint.exact import significant
from kautopsy.fingerprint.features import features
from kautopsy.fleet import schema
from kautopsy.fleet.nouns import GroupState
from kautopsy.fleet.upsert import insert_many
from kautopsy.model.crash import Crash, Frame, Kind
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


@dataclass(frozen=True, kw_only=True)
class First:
    """A crash with a key that nobody has seen.

    :param group_id: where it goes; None: into a group of its own
    """

    key: Key
    crash: Crash
    title: str
    at: float
    group_id: int | None = None
    why: str = ""
    by: str = "kautopsy"


def new_signatures(
    connection: Connection, firsts: Sequence[First], *, now: float
) -> dict[Key, tuple[int, int]]:
    """Signatures nobody has seen, each in a group of its own unless it has one: key → (signature's
    id, group's id).

    New groups are told to people by notices.
    """
    alone = [one for one in firsts if one.group_id is None]
    made = insert_many(
        connection,
        schema.group,
        [
            {
                "title": one.title,
                "kind": one.crash.kind.value,
                "state": GroupState.NEW.value,
                "first_seen": one.at,
                "last_seen": one.at,
                "created": now,
            }
            for one in alone
        ],
    )
    notices = [{"kind": "new-group", "group_id": number, "at": now} for number in made]
    if notices:
        connection.execute(schema.notice.insert(), notices)
    own = dict(zip((one.key for one in alone), made, strict=True))
    groups = [own.get(one.key, one.group_id) for one in firsts]
    signatures = insert_many(
        connection,
        schema.signature,
        [_row(one, group_id) for one, group_id in zip(firsts, groups, strict=True)],
    )
    frames = [
        {
            "signature_id": signature_id,
            "depth": depth,
            "function": frame.function or "",
            "module": frame.module or "",
        }
        for one, signature_id in zip(firsts, signatures, strict=True)
        for depth, frame in enumerate(_shown(one.crash))
    ]
    if frames:
        connection.execute(schema.frame.insert(), frames)
    return {
        one.key: (signature_id, group_id)
        for one, signature_id, group_id in zip(firsts, signatures, groups, strict=True)
        if group_id is not None
    }


def new_signature(connection: Connection, first: First, *, now: float) -> tuple[int, int]:
    """One of them: the ids of the signature and its group."""
    return new_signatures(connection, [first], now=now)[first.key]


def _row(one: First, group_id: int | None) -> dict[str, Any]:
    scheme, version, name = one.key
    return {
        "scheme": scheme,
        "version": version,
        "key": name,
        "group_id": group_id,
        "why": one.why or (_WHY[scheme] if one.group_id is None else ""),
        "by": one.by,
        "title": one.title,
        "first_seen": one.at,
        "features": msgspec.msgpack.encode(features(one.crash)),
    }


def _shown(crash: Crash) -> tuple[Frame, ...]:
    frames = significant(crash) or tuple(frame for frame in crash.frames if frame.function)
    return frames[:64]


_WHY = {
    "exact": "the first crash with this fingerprint",
    "cause": "the first dump whose verdict has this cause",
    "manual": "taken apart by hand",
}
