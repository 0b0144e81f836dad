"""Hosts and kernels that something was heard of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, tuple_

from kautopsy.fleet import schema
from kautopsy.fleet.upsert import ids, upsert

_LEARNT = ("model", "firmware", "cpu")


def see_hosts(connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Hosts that something was heard of: name → id.

    :param rows: with the columns of ``host``; what is empty does not replace what is known
    """
    upsert(
        connection,
        schema.host,
        [
            {
                **dict.fromkeys(_LEARNT, ""),
                "profile_id": None,
                **{name: value for name, value in row.items() if value is not None},
            }
            for row in rows
        ],
        keys=["name"],
        least=["first_seen"],
        greatest=["last_seen"],
        learn=[*_LEARNT, "profile_id"],
    )
    return ids(connection, schema.host, "name", [row["name"] for row in rows])


def see_builds(
    connection: Connection, builds: set[tuple[str, str, str]]
) -> dict[tuple[str, str, str], int]:
    """Kernels: (release, build-id, architecture) → id; those without a release are left out."""
    wanted = sorted(build for build in builds if build[0])
    table = schema.build
    upsert(
        connection,
        table,
        [{"release": r, "build_id": b, "arch": a} for r, b, a in wanted],
        keys=["release", "build_id", "arch"],
    )
    if not wanted:
        return {}
    columns = (table.c.release, table.c.build_id, table.c.arch)
    rows = connection.execute(select(*columns, table.c.id).where(tuple_(*columns).in_(wanted)))
    return {(release, build, arch): number for release, build, arch, number in rows}
