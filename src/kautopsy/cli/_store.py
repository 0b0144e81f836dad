"""What the verbs of the fleet share: where the store is, and how it is opened."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.model.errors import MissingToolError, UsageError

if TYPE_CHECKING:
    from kautopsy.fleet.database import Database
    from kautopsy.fleet.files import DataFolder
    from kautopsy.fleet.settings import Settings

_NEEDED = ("sqlalchemy", "alembic", "distributed", "scipy", "watchfiles", "psycopg")


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the store is."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument(
        "--database", metavar="URL", help="sqlite:////PATH or postgresql://USER@HOST/NAME"
    )
    parser.add_argument("--data", metavar="DIR", help="where received files are kept")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options of the analysis."""
    parser.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="of Dask; else workers of our own, here"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="dumps at a time without a scheduler (CPUs)"
    )
    parser.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="for the analysis of a dump (600)"
    )
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="for the analysis of a dump, as 4G (4G)"
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings in force.

    :raises MissingToolError: the extra is not installed
    :raises UsageError: they make no sense
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingToolError(
            "is not installed",
            thing=missing[0],
            hint="the fleet needs more packages: pip install 'kautopsy[fleet]'",
        )
    from kautopsy.fleet.settings import load

    names = ("database", "data", "scheduler", "workers", "time_limit", "memory_limit", "settle")
    given = {name.replace("_", "-"): getattr(arguments, name, None) for name in names}
    settings = load(arguments.config, given)
    if settings.workers < 0 or settings.time_limit <= 0 or settings.memory_limit <= 0:
        raise UsageError("workers and limits are above 0", slug="bad-setting")
    return settings


def open_store(settings: Settings) -> tuple[Database, DataFolder]:
    """The store and the directory of its files, made where they are missing.

    :raises KautopsyError: they cannot be opened
    """
    from kautopsy.fleet.database import Database
    from kautopsy.fleet.files import DataFolder

    data = DataFolder(settings.data_folder)
    return Database.open(settings.database_url), data
