"""Keep some dumps of every group, and delete the rest of what was received.

How many is the setting exemplars; disk-budget bounds them all. That a crash happened stays known.
"""

from __future__ import annotations

import argparse

from kautopsy.cli._store import add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_store(parser)


def run(arguments: argparse.Namespace) -> int:
    """Retain."""
    settings = settings_of(arguments)
    from kautopsy.fleet.intake.retention import retain
    from kautopsy.fleet.intake.upload import Uploads
    from kautopsy.report.units import size

    database, data = open_store(settings)
    with database:
        kept = retain(database, data, settings)
        dropped = Uploads(database, data, settings).expire(settings.upload_expires)
    print(
        f"deleted {kept.deleted} files ({size(kept.freed_bytes)}) and {dropped} uploads "
        f"that nobody went on with; dropped the details of {kept.thinned} crashes"
    )
    return ExitCode.OK
