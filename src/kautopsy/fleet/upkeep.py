"""What is done beside the taking in: analyse what waits, compare groups, settle boots."""

from __future__ import annotations

import threading

from kautopsy.fleet import attribution
from kautopsy.fleet.database import Database
from kautopsy.fleet.engine.run import Coordinator
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.grouping import likeness
from kautopsy.fleet.intake.ingest import Tally
from kautopsy.fleet.nouns import Count, Ingested, SkippedFile
from kautopsy.fleet.readiness import boots
from kautopsy.fleet.settings import Settings


def analyse_waiting(
    database: Database,
    data: DataFolder,
    settings: Settings,
    *,
    stop: threading.Event | None = None,
) -> dict[str, int]:
    """Analyse the dumps that wait; no workers are started where none do: outcome → how many.

    :raises UnreachableError: the scheduler does not answer
    """
    from kautopsy.fleet.engine import jobs

    with database.read() as connection:
        if not jobs.waiting(connection):
            return {}
    coordinator = Coordinator(database, data, settings)
    coordinator.run(stop=stop)
    return {outcome.value: count for outcome, count in coordinator.outcomes.items()}


def refresh(database: Database, *, everything: bool = False) -> None:
    """Compare groups that are new, compute what grown ones follow, settle boots."""
    with database.write() as connection:
        boots.settle(connection)
    likeness.refresh(database, everything=everything)
    attribution.refresh(database)


def ingested(tally: Tally, outcomes: dict[str, int]) -> Ingested:
    """A tally as a document."""
    return Ingested(
        files=tally.files,
        unchanged=tally.unchanged,
        crashes=tally.crashes,
        new_crashes=tally.new_crashes,
        new_groups=tally.new_groups,
        regressions=tally.regressions,
        dumps=tally.dumps,
        answers=tally.answers,
        outcomes=tuple(Count(name=name, count=count) for name, count in outcomes.items()),
        skipped=tuple(SkippedFile(path=str(path), why=why) for path, why in tally.skipped),
    )
