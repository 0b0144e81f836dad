"""Write the whole store to one file, while everybody goes on.

It can be restored into a new store of either kind: this is also the way from SQLite to PostgreSQL.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._output import Progress
from kautopsy.cli._store import add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.tar")
    parser.add_argument(
        "--files", action="store_true", help="also the dumps and logs that were received"
    )
    add_store(parser)


def run(arguments: argparse.Namespace) -> int:
    """Back up."""
    settings = settings_of(arguments)
    from kautopsy.fleet.backup import backup

    database, data = open_store(settings)
    with database, Progress(f"writing {arguments.file}") as progress:
        counts = backup(database, arguments.file, data=data if arguments.files else None)
        progress.detail = f"{sum(counts.values())} rows"
    return ExitCode.OK
