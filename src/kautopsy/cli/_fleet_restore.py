"""Fill a new, empty store from a backup."""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._output import Progress
from kautopsy.cli._store import add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode, UnreadableError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE.tar")
    add_store(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restore."""
    settings = settings_of(arguments)
    from kautopsy.fleet.backup import restore

    if not arguments.file.is_file():
        raise UnreadableError("no such file", thing=str(arguments.file), slug="no-such-file")
    database, data = open_store(settings)
    with database, Progress(f"reading {arguments.file}") as progress:
        counts = restore(database, arguments.file, data=data)
        progress.detail = f"{sum(counts.values())} rows"
    return ExitCode.OK
