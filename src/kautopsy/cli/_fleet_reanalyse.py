"""After an upgrade: analyse every dump that is kept anew, compute the groups anew, show what moved.

What people decided (merged, split, "not the same") is done again. Dumps that are not kept any more
stay with the report they have.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.cli._store import add_engine, add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.fleet.nouns import Reanalysis


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--failed", action="store_true", help="try again what failed or was quarantined"
    )
    parser.add_argument(
        "--all", action="store_true", help="also what this version has analysed already"
    )
    parser.add_argument(
        "--groups-only", action="store_true", help="leave dumps alone, compute the groups"
    )
    add_store(parser)
    add_engine(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it anew."""
    settings = settings_of(arguments)
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.fleet.engine.jobs import queue_again
    from kautopsy.fleet.grouping.recompute import recompute
    from kautopsy.fleet.intake.sources import ANALYSIS
    from kautopsy.fleet.nouns import Count, Reanalysis
    from kautopsy.fleet.upkeep import analyse_waiting, refresh

    clean_up_on_sigterm()
    quiet = arguments.json
    database, data = open_store(settings)
    outcomes: dict[str, int] = {}
    with database:
        if not arguments.groups_only:
            with database.write() as connection:
                queue_again(connection, failed=arguments.failed, everything=arguments.all)
            with Progress("analysing dumps", quiet=quiet) as progress:
                outcomes = analyse_waiting(database, data, settings)
                progress.detail = ", ".join(f"{n} {name}" for name, n in outcomes.items()) or "none"
        with Progress("grouping", quiet=quiet):
            moved = recompute(database)
            refresh(database, everything=True)
    document = Reanalysis(
        analysis=ANALYSIS,
        outcomes=tuple(Count(name=name, count=count) for name, count in outcomes.items()),
        moved=moved,
    )
    if arguments.json:
        print_json(document)
    else:
        _print(document)
    return ExitCode.OK


def _print(document: Reanalysis) -> None:
    from kautopsy.report.escape import one_line

    if not document.moved:
        print("No crash moved to another group.")
    for one in document.moved:
        print(
            one_line(
                f"{one.crashes} crashes: #{one.from_group} {one.from_title} -> "
                f"#{one.to_group} {one.to_title}"
            )
        )
