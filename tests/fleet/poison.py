"""The poison test: 40 dumps, four of which kill, abort, overfeed and hang whoever opens them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.engine.analyse import Result
from kautopsy.fleet.engine.jobs import Job
from kautopsy.fleet.engine.run import Coordinator
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.intake.ingest import Ingest
from kautopsy.fleet.settings import Settings

CHILD = (sys.executable, str(Path(__file__).with_name("poison_child.py")))
POISON = {7: "kill", 13: "abort", 21: "eat", 30: "hang"}
BLAMED = {
    "kill-7": "signal",
    "abort-13": "signal",
    "eat-21": "oom",
    "hang-30": "timeout",
}


def dumps(folder: Path, count: int, what: str = "ok", poison: dict[int, str] | None = None) -> Path:
    """Files that look like dumps, named by what they do to their reader."""
    folder.mkdir()
    for number in range(count):
        name = f"{(poison or {}).get(number, what)}-{number}"
        (folder / name).write_bytes(b"KDUMP   " + name.encode() * 50)
    return folder


def coordinator(
    database: Database,
    *,
    data: Path,
    scheduler: str = "",
    workers: int = 2,
    time_limit: float = 8.0,
    lease: float = 60.0,
    on_seconds: Callable[[float], None] | None = None,
) -> Coordinator:
    """The engine, with the child that does what a dump's name says.

    :param on_seconds: called with how long each dump's child lived
    """
    settings = Settings(
        scheduler=scheduler,
        workers=workers,
        time_limit=time_limit,
        memory_limit=1 << 30,
        lease=lease,
    )

    def done(job: Job, answer: Result) -> None:
        if on_seconds is not None:
            on_seconds(answer.seconds)

    return Coordinator(database, DataFolder(data), settings, command=CHILD, on_done=done)


def analyse(database: Database, folder: Path, *, data: Path, **how: Any) -> None:
    """Take in the dumps of a folder, and analyse them."""
    Ingest(database, host="web01").paths([folder])
    coordinator(database, data=data, **how).run()


def outcomes(database: Database) -> dict[str, str]:
    """Name of the dump → outcome, of all jobs."""
    with database.read() as connection:
        return {
            row.name: row.outcome
            for row in connection.execute(
                select(schema.source.c.name, schema.job.c.outcome).join(
                    schema.source, schema.source.c.id == schema.job.c.source_id
                )
            )
        }


def crashes(database: Database) -> list[float]:
    """The crashes that were stored, by their uptime: each dump has its own."""
    with database.read() as connection:
        return sorted(connection.scalars(select(schema.crash.c.uptime)))
