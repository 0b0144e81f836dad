"""The counters of groups: by host, by kernel, by day. Pages ask them and never count crashes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, update

from kautopsy.fleet import schema
from kautopsy.fleet.upsert import upsert

DAY = 86400
_G, _S = schema.group.c, schema.signature.c
_COUNT_GROUP = (
    update(schema.group)
    .where(_G.id == bindparam("number"))
    .values(
        crashes=_G.crashes + bindparam("more"),
        deaths=_G.deaths + bindparam("more_deaths"),
        first_seen=case(
            (_G.first_seen < bindparam("first"), _G.first_seen), else_=bindparam("first")
        ),
        last_seen=case((_G.last_seen > bindparam("last"), _G.last_seen), else_=bindparam("last")),
    )
)
_COUNT_SIGNATURE = (
    update(schema.signature)
    .where(_S.id == bindparam("number"))
    .values(crashes=_S.crashes + bindparam("more"))
)


def count_crashes(connection: Connection, crashes: Sequence[dict[str, Any]]) -> None:
    """Add crashes to the counters of their groups.

    :param crashes: with ``group_id``, ``signature_id``, ``host_id``, ``build_id``, ``profile_id``,
        ``at``, ``fatal``
    """
    groups: dict[int, dict[str, Any]] = {}
    hosts: dict[tuple[int, int], dict[str, Any]] = {}
    builds: dict[tuple[int, int], dict[str, Any]] = {}
    days: dict[tuple[int, int], dict[str, Any]] = {}
    signatures: dict[int, int] = defaultdict(int)
    for one in crashes:
        group_id, at, fatal = one["group_id"], one["at"], int(one["fatal"])
        signatures[one["signature_id"]] += 1
        _add(groups, group_id, {}, at, fatal)
        day = int(at // DAY)
        _add(days, (group_id, day), {"group_id": group_id, "day": day}, at, fatal)
        if one["host_id"] is not None:
            key = (group_id, one["host_id"])
            ids_of = {"group_id": group_id, "host_id": one["host_id"]}
            row = _add(hosts, key, ids_of, at, fatal)
            row["profile_id"] = one["profile_id"]
        if one["build_id"] is not None:
            key = (group_id, one["build_id"])
            _add(builds, key, {"group_id": group_id, "build_id": one["build_id"]}, at, fatal)
    if groups:
        connection.execute(
            _COUNT_GROUP,
            [
                {
                    "number": number,
                    "more": row["crashes"],
                    "more_deaths": row["deaths"],
                    "first": row["first_seen"],
                    "last": row["last_seen"],
                }
                for number, row in groups.items()
            ],
        )
        connection.execute(
            _COUNT_SIGNATURE,
            [{"number": number, "more": count} for number, count in signatures.items()],
        )
    keep = ("crashes", "first_seen", "last_seen")
    upsert(
        connection,
        schema.group_host,
        _columns(hosts, ("group_id", "host_id", "profile_id", *keep)),
        keys=["group_id", "host_id"],
        add=["crashes"],
        least=["first_seen"],
        greatest=["last_seen"],
        replace=["profile_id"],
    )
    upsert(
        connection,
        schema.group_build,
        _columns(builds, ("group_id", "build_id", *keep)),
        keys=["group_id", "build_id"],
        add=["crashes"],
        least=["first_seen"],
        greatest=["last_seen"],
    )
    upsert(
        connection,
        schema.group_day,
        _columns(days, ("group_id", "day", "crashes", "deaths")),
        keys=["group_id", "day"],
        add=["crashes", "deaths"],
    )


def _add(
    rows: dict[Any, dict[str, Any]], key: Any, start: dict[str, Any], at: float, fatal: int
) -> dict[str, Any]:
    row = rows.get(key)
    if row is None:
        row = rows[key] = {**start, "crashes": 0, "deaths": 0, "first_seen": at, "last_seen": at}
    row["crashes"] += 1
    row["deaths"] += fatal
    row["first_seen"] = min(row["first_seen"], at)
    row["last_seen"] = max(row["last_seen"], at)
    return row


def _columns(rows: dict[Any, dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows.values()]
