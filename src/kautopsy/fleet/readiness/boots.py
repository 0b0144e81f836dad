"""Boot by boot: which ended in a shutdown, which in a crash that is known, which silently.

A machine dies silently when a boot ended without a shutdown and no crash is known of that time: no
dump came, no console was kept. It is the figure that tells whether crash dumps work at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.grouping.machines import see_builds
from kautopsy.fleet.nouns import Ending
from kautopsy.fleet.readiness.identity import Boot

_SAME_START = 300.0
_AFTER_DEATH = 3600.0
"""Seconds in which a crash's stamp may be later than the last that was heard of its boot: the log
stops before the machine does, and the console server's clock is its own."""
_B = schema.boot.c


def record_boots(
    connection: Connection,
    host_id: int,
    boots: Sequence[Boot],
    *,
    release: str = "",
    arch: str = "",
) -> None:
    """Keep what a machine says of its boots.

    :param release: of the kernel that runs
    """
    builds = see_builds(connection, {(release, "", arch)}) if release else {}
    known = {
        row.boot_key: row
        for row in connection.execute(select(schema.boot).where(_B.host_id == host_id))
    }
    for boot in boots:
        row = known.get(boot.key) or next(
            (r for r in known.values() if _same(r, boot)),
            None,
        )
        values = {"last_seen": boot.last_seen, "ending": boot.ending.value}
        if row is None:
            connection.execute(
                schema.boot.insert().values(
                    host_id=host_id,
                    boot_key=boot.key,
                    build_id=next(iter(builds.values()), None) if boot.running else None,
                    started=boot.started,
                    **values,
                )
            )
        elif row.ending in (Ending.RUNNING, Ending.UNKNOWN) or boot.running:
            values["last_seen"] = max(boot.last_seen, row.last_seen)
            connection.execute(update(schema.boot).where(_B.id == row.id).values(**values))
    running = {boot.key for boot in boots if boot.running}
    if running:
        # Boots that ran when somebody looked last, and that the machine does not remember.
        connection.execute(
            update(schema.boot)
            .where(_B.host_id == host_id, _B.ending == Ending.RUNNING.value)
            .where(_B.boot_key.not_in(running))
            .values(ending=Ending.UNKNOWN.value)
        )
    settle(connection, host_id)


def _same(row: object, boot: Boot) -> bool:
    """wtmp has no boot ids: its boots are found by when they began."""
    keys = (str(getattr(row, "boot_key", "")), boot.key)
    near = abs(float(getattr(row, "started", 0.0)) - boot.started) <= _SAME_START
    return near and any(key.startswith("wtmp-") for key in keys)


def settle(connection: Connection, host_id: int | None = None) -> int:
    """Boots that seemed silent and of whose time a crash is known now: how many there were."""
    crash = schema.crash.c
    told = (
        select(crash.id)
        .where(crash.host_id == _B.host_id, crash.fatal, crash.at_known)
        .where(crash.at >= _B.started, crash.at <= _B.last_seen + _AFTER_DEATH)
        .correlate(schema.boot)
        .exists()
    )
    statement = (
        update(schema.boot)
        .where(_B.ending.in_((Ending.SILENT.value, Ending.UNKNOWN.value)))
        .where(told)
        .values(ending=Ending.CRASHED.value)
    )
    if host_id is not None:
        statement = statement.where(_B.host_id == host_id)
    return connection.execute(statement).rowcount
