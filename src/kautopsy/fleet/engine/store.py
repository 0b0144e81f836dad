"""What came back of a dump, into the store: report, crash and outcome in one transaction."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from kautopsy.fleet import schema
from kautopsy.fleet.engine.analyse import Result
from kautopsy.fleet.engine.jobs import Job, finish
from kautopsy.fleet.grouping.reports import record_report
from kautopsy.fleet.intake.documents import sighting_of
from kautopsy.fleet.intake.sources import set_state
from kautopsy.fleet.upsert import upsert


def store(connection: Connection, job: Job, answer: Result) -> int | None:
    """Store it: the crash's number, None where the dump told of none."""
    now = time.time()
    crash_id = None
    report = answer.report
    if report is not None and report.dump is not None:
        dump = report.dump
        upsert(
            connection,
            schema.dump,
            [
                {
                    "source_id": job.source_id,
                    "format": dump.format.value,
                    "arch": dump.arch or "",
                    "build_id": dump.build_id or "",
                    "release": dump.release or "",
                    "dump_level": dump.dump_level,
                    "complete": dump.complete,
                }
            ],
            keys=["source_id"],
            replace=["format", "arch", "build_id", "release", "dump_level", "complete"],
        )
    if report is not None:
        sighting = sighting_of(
            report,
            host=job.host,
            written=job.received,
            origin="dump",
            source_id=job.source_id,
        )
        if sighting is not None:
            crash_id, _new = record_report(connection, sighting, analysis=job.analysis, now=now)
    finish(
        connection,
        job.id,
        answer.outcome,
        detail=answer.detail,
        seconds=answer.seconds,
        now=now,
    )
    set_state(connection, job.source_id, "done", answer.detail)
    return crash_id
