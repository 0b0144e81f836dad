"""The fleet in a browser: pages, JSON API, uploads; alone on SQLite, or over a fleet's PostgreSQL.

Without options it serves http://127.0.0.1:8470 over a SQLite file of its own, and analyses what
comes in by itself. The first administrator is made with --add-admin NAME, which asks for a password
(or reads a line of standard input) and ends.

Settings come from /etc/kautopsy/fleet.toml or --config FILE ([web] is the server's table), then
from KAUTOPSY_FLEET_* and KAUTOPSY_WEB_* in the environment, then from the command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.model.errors import ExitCode, MissingToolError

if TYPE_CHECKING:
    from kautopsy.fleet.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE or postgresql://…")
    parser.add_argument("--data", metavar="DIR", help="where received files are kept")
    parser.add_argument("--listen", metavar="ADDRESS", help="(127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="N", help="(8470)")
    parser.add_argument("--public-url", metavar="URL", help="as people reach it")
    parser.add_argument("--snapshots", metavar="DIR", help="of kautopsy snapshot, for the SQL page")
    parser.add_argument(
        "--no-engine", action="store_true", help="leave the analysis to kautopsy fleet worker"
    )
    parser.add_argument(
        "--add-admin", metavar="NAME", help="make an administrator's account, and end"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve, or make an account."""
    try:
        from kautopsy.fleet import settings as fleet_settings
        from kautopsy.web import config as web_config
        from kautopsy.web.server import serve
    except ImportError as error:
        raise MissingToolError(
            "the server needs more than the core", thing=error.name or "package",
            hint="pip install 'kautopsy[fleet,web]'",
        ) from None  # fmt: skip
    settings = fleet_settings.load(
        arguments.config, {"database": arguments.database, "data": arguments.data}
    )
    if arguments.add_admin is not None:
        return _add_admin(arguments.add_admin, settings)
    config = web_config.load(
        _config_file(arguments.config),
        listen=arguments.listen,
        port=arguments.port,
        public_url=arguments.public_url,
        snapshots=arguments.snapshots,
    )
    serve(config, settings, engine=not arguments.no_engine)
    return ExitCode.OK


def _config_file(named: Path | None) -> Path | None:
    """Where the fleet's settings come from: the table [web] stands in the same file."""
    from kautopsy.fleet.settings import CONFIG_VARIABLE, SYSTEM

    if named is not None:
        return named
    if os.environ.get(CONFIG_VARIABLE):
        return Path(os.environ[CONFIG_VARIABLE])
    return SYSTEM if SYSTEM.exists() else None


def _add_admin(name: str, settings: Settings) -> int:
    from kautopsy.fleet import changes
    from kautopsy.fleet.database import Database
    from kautopsy.fleet.files import DataFolder
    from kautopsy.fleet.nouns import Role
    from kautopsy.web.passwords import hash_password

    hashed = hash_password(_password())
    DataFolder(settings.data_folder)  # the store's file lies in it by default
    with Database.open(settings.database_url) as database, database.write() as connection:
        changes.people.add_account(
            connection, name, role=Role.ADMIN, password_hash=hashed, by="command line"
        )
    print(f"{name} may log in as an administrator", file=sys.stderr)
    return ExitCode.OK


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    import getpass

    return getpass.getpass("Password (12 characters at least): ")
