"""What there is, what is being done, what failed and why."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kautopsy.cli._output import add_json, print_json
from kautopsy.cli._store import add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.fleet.nouns import Count, FleetStatus, GroupRow


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--groups", type=int, default=10, metavar="N", help="show the N most harmful (10)"
    )
    add_store(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell."""
    settings = settings_of(arguments)
    from kautopsy.fleet import migrate
    from kautopsy.fleet.nouns import GroupFilter
    from kautopsy.fleet.queries import groups, work

    database, _data = open_store(settings)
    with database, database.read() as connection:
        status = work.status(connection, database=database.url, revision=migrate.head())
        page = groups.ranked(connection, GroupFilter(limit=max(arguments.groups, 0)))
    if arguments.json:
        print_json(status)
    else:
        _print(status, page.groups)
    return ExitCode.OK


def _print(status: FleetStatus, ranked: tuple[GroupRow, ...]) -> None:
    from kautopsy.report.escape import one_line

    print(one_line(f"{status.database} (schema {status.revision})"))
    print(
        f"{status.crashes} crashes ({status.deaths} deaths) of {status.hosts} hosts; "
        f"{status.silent} boots ended silently"
    )
    for name, counts in (
        ("groups", status.groups),
        ("files", status.sources),
        ("analyses", status.jobs),
        ("outcomes", status.outcomes),
    ):
        print(f"{name:9} {_line(counts)}")
    for job in status.failed:
        print(one_line(f"{job.outcome}: {job.host or '?'} {job.name}: {job.detail}"))
    if status.outdated:
        print(
            f"{status.outdated} crashes are grouped by an older recipe: "
            "kautopsy fleet reanalyse --groups-only brings them up to date"
        )
    if ranked:
        print("\n harm deaths crashes hosts  group")
    for group in ranked:
        print(
            one_line(
                f"{group.harm:5} {group.deaths:6} {group.crashes:7} {group.hosts:5}  "
                f"#{group.id} [{group.state}] {group.title}"
            )
        )


def _line(counts: tuple[Count, ...]) -> str:
    return ", ".join(f"{one.count} {one.name}" for one in counts) or "none"
