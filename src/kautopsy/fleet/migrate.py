"""From any older schema to today's, by Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from kautopsy.model.errors import UnreadableError

if TYPE_CHECKING:
    from kautopsy.fleet.database import Database

_FOLDER = Path(__file__).parent / "migrations"


def head() -> str:
    """The revision that this kautopsy's tables have."""
    revision = ScriptDirectory(str(_FOLDER)).get_current_head()
    assert revision is not None
    return revision


def current(database: Database) -> str | None:
    """The revision of a store; None where it is empty."""
    with database.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, to: str = "head") -> None:
    """Migrate, in one transaction a revision.

    :raises UnreadableError: a newer kautopsy made the store
    """
    now = current(database)
    _check_known(database, now)
    if now == head() and to == "head":
        return
    with database.write() as connection:
        command.upgrade(config(connection), to)


def config(connection: Connection) -> Config:
    """Alembic's, for the store of ``connection``."""
    found = Config()
    found.set_main_option("script_location", str(_FOLDER))
    found.attributes["connection"] = connection
    return found


def check(database: Database) -> None:
    """Complain unless the store is of today.

    :raises UnreadableError: it is older or newer
    """
    now = current(database)
    _check_known(database, now)
    if now != head():
        raise UnreadableError(
            f"its schema is {now or 'not there'}, {head()} is wanted",
            thing=database.url,
            slug="old-database",
            hint="kautopsy fleet status upgrades it",
        )


def _check_known(database: Database, revision: str | None) -> None:
    script = ScriptDirectory(str(_FOLDER))
    known = {one.revision for one in script.walk_revisions()}
    if revision is not None and revision not in known:
        raise UnreadableError(
            f"a newer kautopsy made it (schema {revision})",
            thing=database.url,
            slug="newer-database",
            hint="upgrade kautopsy here too",
        )
