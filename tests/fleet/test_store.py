"""The store on both databases: made, migrated, written by one at a time."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from tests.fleet.samples import sighting

from kautopsy.fleet import migrate, schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.queries import groups
from kautopsy.model.errors import UnreadableError, UsageError

FIRST = Path(__file__).parent / "data" / "schema-0001.sql"


def test_migrations_make_the_tables_of_the_schema(store: Database) -> None:
    with store.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    assert migrate.current(store) == migrate.head()


def test_opening_again_changes_nothing(store_url: str) -> None:
    for _ in range(2):
        with Database.open(store_url) as store, store.read() as connection:
            assert connection.scalar(select(schema.host.c.id)) is None


def test_writers_wait_for_each_other(store: Database) -> None:
    with store.write() as connection:
        connection.execute(schema.meta.insert().values(key="n", value="0"))

    def count() -> None:
        for _ in range(25):
            with store.write() as connection:
                value = connection.scalar(select(schema.meta.c.value))
                connection.execute(schema.meta.update().values(value=str(int(value or 0) + 1)))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.scalar(select(schema.meta.c.value)) == "100"


def test_a_failed_transaction_leaves_nothing(store: Database) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        record(connection, [sighting(1)])
        raise ZeroDivisionError
    with store.read() as connection:
        assert groups.ranked(connection).total == 0


def test_a_newer_schema_is_refused(store_url: str) -> None:
    with Database.open(store_url) as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnreadableError, match="newer-database"):
        Database.open(store_url)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense://", "postgresql://[bad"])
def test_no_database(url: str) -> None:
    with pytest.raises((UsageError, UnreadableError)):
        Database.open(url)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(UnreadableError, match="no-database"):
        Database.open("postgresql://nobody@/nothing?host=/nonexistent")


def test_the_first_schema_with_its_rows_becomes_todays(tmp_path: Path) -> None:
    """A store as the first release left it, dumped by sqlite3, is read by this one."""
    old = sqlite3.connect(tmp_path / "old.sqlite")
    old.executescript(FIRST.read_text())
    old.close()
    with Database.open(str(tmp_path / "old.sqlite")) as store:
        assert migrate.current(store) == migrate.head()
        with store.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, schema.metadata) == []
            page = groups.ranked(connection)
            assert [(g.title, g.crashes, g.hosts) for g in page.groups] == [
                ("BUG: unable to handle kernel NULL pointer dereference in frob_start", 3, 2)
            ]
            detail = groups.detail(connection, page.groups[0].id)
            assert [note.text for note in detail.notes] == ["seen since Monday"]
        with store.write() as connection:
            assert record(connection, [sighting(1, "web01")]).new == 0
            assert record(connection, [sighting(77, "web09")]).new == 1
