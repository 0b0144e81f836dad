"""Take in dumps, logs, reports, doctor's answers and drills, and group the crashes.

PATH is a file or a directory: dumps and consoles' logs as they come, what Ansible fetched
(DEST/HOST/...), documents of report --json, oops --json, doctor --json and drill. Which host a
file is of is told by its folder or name, else by what stands in it. What was taken in before is not
taken in again, so a run that was interrupted is simply repeated. Dumps are analysed afterwards,
each in a process of its own; --later leaves that to a `fleet watch` or a server.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.cli._store import add_engine, add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode, UnreadableError

if TYPE_CHECKING:
    from kautopsy.fleet.nouns import Ingested


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--host", default="", metavar="NAME", help="all of it is of this host")
    parser.add_argument("--later", action="store_true", help="queue dumps, do not analyse them")
    add_store(parser)
    add_engine(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Take in."""
    settings = settings_of(arguments)
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.fleet.intake.ingest import Ingest
    from kautopsy.fleet.upkeep import analyse_waiting, ingested, refresh

    for path in arguments.paths:
        if not path.exists():
            raise UnreadableError("no such file", thing=str(path), slug="no-such-file")
    clean_up_on_sigterm()
    database, data = open_store(settings)
    with database:
        quiet = arguments.json
        with Progress("taking in", quiet=quiet) as progress:
            tally = Ingest(database, host=arguments.host).paths(arguments.paths)
            progress.detail = f"{tally.files} files, {tally.crashes} crashes"
        outcomes = {}
        if not arguments.later:
            with Progress("analysing dumps", quiet=quiet) as progress:
                outcomes = analyse_waiting(database, data, settings)
                progress.detail = ", ".join(f"{n} {name}" for name, n in outcomes.items()) or "none"
        with Progress("comparing groups", quiet=quiet):
            refresh(database)
        document = ingested(tally, outcomes)
    if arguments.json:
        print_json(document)
    else:
        _print(document)
    return ExitCode.OK


def _print(document: Ingested) -> None:
    from kautopsy.report.escape import one_line

    print(
        f"{document.files} files ({document.unchanged} known already): {document.crashes} crashes, "
        f"{document.new_crashes} new; {document.new_groups} new groups, "
        f"{document.regressions} regressions; {document.dumps} dumps queued"
    )
    for one in document.skipped[:20]:
        print(one_line(f"skipped {one.path}: {one.why}"))
    if len(document.skipped) > 20:
        print(f"and {len(document.skipped) - 20} more were skipped: --json names them")
