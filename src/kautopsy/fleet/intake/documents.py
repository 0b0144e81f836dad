"""Documents of kautopsy itself: reports, crashes, the doctor's answers, drills."""

from __future__ import annotations

from sqlalchemy import Connection

from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.grouping.reports import record_report
from kautopsy.fleet.grouping.sighting import Sighting, machine_of, time_of
from kautopsy.fleet.intake.clock import seconds_of
from kautopsy.fleet.intake.origin import usable
from kautopsy.fleet.intake.sniff import Shape
from kautopsy.fleet.intake.sources import ANALYSIS
from kautopsy.fleet.nouns import Stored
from kautopsy.fleet.readiness.record import record_drill, record_readiness
from kautopsy.model.base import Unreadable, from_json
from kautopsy.model.crash import Crash
from kautopsy.model.drill import DrillRecord
from kautopsy.model.errors import UnreadableError
from kautopsy.model.readiness import DoctorDocument
from kautopsy.model.report import OopsDocument, Report

_NOTHING = Stored(seen=0, new=0, new_groups=0, regressions=0)


def sighting_of(
    report: Report, *, host: str, written: float, origin: str, source_id: int | None
) -> Sighting | None:
    """The crash of a report; None where it holds none.

    :param host: empty: as the dump itself says
    """
    if report.crash is None:
        return None
    system, dump = report.system, report.dump
    if not host and system is not None and isinstance(system.nodename, str):
        host = system.nodename if usable(system.nodename) else ""
    crash = report.crash
    at = time_of(report)
    if at is None:
        at = seconds_of(crash.wall_time, written)
    return Sighting(
        crash=crash,
        host=host,
        at=at,
        fallback_at=written,
        origin="log" if dump is None else origin,
        source_id=source_id,
        build_id=(dump.build_id or "") if dump is not None else "",
        arch=(dump.arch or "") if dump is not None else _machine(report),
        machine=machine_of(crash),
        stream=f"report {source_id}",
        report=report,
    )


def _machine(report: Report) -> str:
    system = report.system
    if system is None or isinstance(system.machine, Unreadable):
        return ""
    return system.machine


def take_report(
    connection: Connection,
    raw: bytes,
    *,
    host: str,
    written: float,
    source_id: int | None,
    now: float,
) -> tuple[int | None, bool, Report]:
    """A document of ``report --json``: the crash's number (None: it holds none), and whether nobody
    had told of it.

    :raises UnreadableError: it is no such document
    """
    report = from_json(raw, Report)
    sighting = sighting_of(report, host=host, written=written, origin="report", source_id=source_id)
    if sighting is None:
        return None, False, report
    crash_id, new = record_report(connection, sighting, analysis=ANALYSIS, now=now)
    return crash_id, new, report


def take_crashes(
    connection: Connection,
    crashes: tuple[Crash, ...],
    *,
    host: str,
    written: float,
    source_id: int | None,
    now: float,
) -> Stored:
    """The crashes of a document of ``oops --json``."""
    found = [
        Sighting(
            crash=crash,
            host=host,
            at=seconds_of(crash.wall_time, written),
            fallback_at=written,
            origin="log",
            source_id=source_id,
            machine=machine_of(crash),
            stream=f"document {source_id}",
            ordinal=number,
        )
        for number, crash in enumerate(crashes)
    ]
    return record(connection, found, now=now)


def take(
    connection: Connection,
    shape: Shape,
    raw: bytes,
    *,
    host: str,
    written: float,
    source_id: int,
    now: float,
) -> Stored:
    """Any document, by its shape.

    :raises UnreadableError: it is damaged, or names no host where one is needed
    """
    if shape is Shape.REPORT:
        crash_id, new, _report = take_report(
            connection, raw, host=host, written=written, source_id=source_id, now=now
        )
        return Stored(seen=int(crash_id is not None), new=int(new), new_groups=0, regressions=0)
    if shape is Shape.OOPS:
        seen = [0, 0, 0, 0]
        for line in _documents(raw):
            document = from_json(line, OopsDocument)
            stored = take_crashes(
                connection,
                document.crashes,
                host=host,
                written=written,
                source_id=source_id,
                now=now,
            )
            for index, value in enumerate(
                (stored.seen, stored.new, stored.new_groups, stored.regressions)
            ):
                seen[index] += value
        return Stored(seen=seen[0], new=seen[1], new_groups=seen[2], regressions=seen[3])
    if shape is Shape.DOCTOR:
        if not host:
            raise UnreadableError(
                "the doctor's answer does not say of which host",
                slug="no-host",
                hint="name it: --host, or a file HOST.json or a folder HOST/",
            )
        record_readiness(connection, host, from_json(raw, DoctorDocument), at=written)
        return _NOTHING
    drill = from_json(raw, DrillRecord)
    record_drill(connection, host or _drilled(drill), drill, at=written)
    return _NOTHING


def _documents(raw: bytes) -> list[bytes]:
    """One document, or one a line (``oops --jsonl``)."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    whole_lines = all(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    return lines if whole_lines else [raw]


def _drilled(drill: DrillRecord) -> str:
    system = drill.report.system if drill.report is not None else None
    return system.nodename if system is not None and isinstance(system.nodename, str) else ""
