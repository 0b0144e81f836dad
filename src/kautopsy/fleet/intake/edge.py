"""A host's small report ahead of its dump: the server answers known, new, or "send the dump".

Under 100 KB cross the network for a crash that is known; hundreds of GB only for one that is not.
"""

from __future__ import annotations

import hashlib
import io
import time

from sqlalchemy import Connection, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.intake import sources
from kautopsy.fleet.intake.documents import take_report
from kautopsy.fleet.intake.logs import sightings
from kautopsy.fleet.nouns import Answer, Intake, SourceKind
from kautopsy.fleet.queries import groups
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import RefusedError, UsageError
from kautopsy.model.report import Report

LARGEST_REPORT = 8 << 20
LARGEST_LOG = 8 << 20
"""Bytes of a document and of the log that goes with it; usual ones have some ten thousand."""
_SURE = 0.5


def receive_report(
    database: Database,
    raw: bytes,
    *,
    host: str,
    settings: Settings,
    log: bytes = b"",
    sent_by: str = "",
    now: float | None = None,
) -> Intake:
    """Take a document of ``kautopsy report --json``, and the end of the console's log if there is
    one, and say what is wanted.

    :param host: that sends it
    :raises UsageError: there is no host
    :raises RefusedError: either is larger than is taken (``too-large``)
    :raises UnreadableError: it is no such document (``bad-document``)
    """
    now = time.time() if now is None else now
    if not host:
        raise UsageError("which host's?", thing="host", slug="no-host")
    for what, limit, thing in ((raw, LARGEST_REPORT, "report"), (log, LARGEST_LOG, "log")):
        if len(what) > limit:
            raise RefusedError(f"is larger than {limit} bytes", thing=thing, slug="too-large")
    with database.write() as connection:
        arrival = sources.Arrival(
            content=hashlib.sha256(raw).hexdigest(),
            kind=SourceKind.REPORT,
            name="report.json",
            path="",
            host=host,
            size=len(raw),
            sent_by=sent_by,
        )
        ((source_id, _state),) = sources.find_or_add(connection, [arrival], now=now)
        crash_id, new, report = take_report(
            connection, raw, host=host, written=now, source_id=source_id, now=now
        )
        sources.set_state(connection, source_id, "done")
        more = 0
        if log:
            found = list(sightings(io.BytesIO(log), host=host, written=now, source_id=source_id))
            more = record(connection, found, now=now).new
        if crash_id is None:
            return Intake(
                answer=Answer.KNOWN,
                crash_id=None,
                group_id=None,
                title="",
                why="the report holds no crash",
                new_crashes=more,
            )
        group_id = connection.scalar(
            select(schema.crash.c.group_id).where(schema.crash.c.id == crash_id)
        )
        assert group_id is not None
        answer, why = _answer(connection, group_id, report, settings)
        return Intake(
            answer=answer,
            crash_id=crash_id,
            group_id=group_id,
            title=groups.row(connection, group_id, now=now).title,
            why=why,
            new_crashes=more + new,
        )


def _answer(
    connection: Connection, group_id: int, report: Report, settings: Settings
) -> tuple[Answer, str]:
    crash = schema.crash.c
    dumps = (
        connection.scalar(
            select(func.count())
            .select_from(schema.crash)
            .where(crash.group_id == group_id, crash.origin == "dump", crash.exemplar)
        )
        or 0
    )
    known = (
        connection.scalar(select(schema.group.c.crashes).where(schema.group.c.id == group_id)) or 0
    )
    if report.dump is None:
        if known <= 1:
            return Answer.NEW, "nobody has seen it before; there is no dump to send"
        return Answer.KNOWN, f"seen {known} times"
    if dumps >= settings.exemplars:
        return Answer.KNOWN, f"{dumps} dumps of it are kept already"
    if settings.disk_budget and stored_bytes(connection) >= settings.disk_budget:
        return Answer.KNOWN, "there is no room for another dump: the disk budget is spent"
    verdict = report.verdict
    if known <= 1:
        return Answer.WANT_FULL_DUMP, "nobody has seen it before"
    if verdict is None or verdict.confidence < _SURE:
        return Answer.WANT_FULL_DUMP, "its cause is not known yet"
    return Answer.WANT_FULL_DUMP, f"{dumps} of {settings.exemplars} dumps of it are kept"


def stored_bytes(connection: Connection) -> int:
    """Bytes of what was received and is kept in the data directory."""
    source = schema.source.c
    return int(
        connection.scalar(
            select(func.sum(source.size)).where(source.path != "", ~source.path.startswith("/"))
        )
        or 0
    )
