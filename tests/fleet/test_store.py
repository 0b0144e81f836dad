"""The store on both databases: made, migrated, written by one at a time."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, event, select, text
from tests.fleet.samples import sighting

from kautopsy.fleet import migrate, schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.grouping.record import record
from kautopsy.fleet.intake import sources
from kautopsy.fleet.nouns import SourceKind
from kautopsy.fleet.queries import groups
from kautopsy.model.errors import UnreadableError, UsageError

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data"


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


@pytest.fixture
def first(database_url: str) -> str:
    """A store as the first release left it, from a dump of sqlite3's and of pg_dump's."""
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    script = (DATA / f"schema-0001.{engine.dialect.name}.sql").read_text()
    raw = engine.raw_connection()
    if isinstance(raw.driver_connection, sqlite3.Connection):
        raw.driver_connection.executescript(script)
    else:
        raw.cursor().execute(script)
    raw.commit()
    raw.close()
    engine.dispose()
    return database_url


Rows = dict[str, list[dict[str, Any]]]


def rows_of(url: str) -> Rows:
    """All rows of all tables, by what the database itself says there is."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    found = MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in found.sorted_tables
            if table.name != "alembic_version"
        }
    engine.dispose()
    return {name: sorted(some, key=repr) for name, some in rows.items()}


def lost(before: Rows, after: Rows) -> Rows:
    """What is not there any more, by the columns that there were."""
    gone: Rows = {}
    for name, rows in before.items():
        there = [{key: row[key] for key in old} for old, row in zip(rows, after[name], strict=True)]
        gone[name] = [row for row in rows if row not in there]
    return {name: rows for name, rows in gone.items() if rows}


def test_the_first_schema_with_its_rows_becomes_todays(first: str) -> None:
    before = rows_of(first)
    assert sum(map(len, before.values())) == 23
    with Database.open(first) as store:
        assert migrate.current(store) == migrate.head() != "0001"
        assert lost(before, rows_of(first)) == {}
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


def test_an_old_store_is_left_alone_where_that_is_asked(first: str) -> None:
    with pytest.raises(UnreadableError, match="old-database"):
        Database.open(first, upgrade=False)


def test_there_and_back_keeps_all_rows(first: str) -> None:
    before = rows_of(first)
    with Database.open(first) as store:
        with store.write() as connection:
            config = migrate.config(connection)
            command.downgrade(config, "0001")
        assert migrate.current(store) == "0001"
        with store.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            differing = compare_metadata(context, schema.metadata)
            assert {str(one[1].name) for one in differing} == {"ix_source_path", "ix_crash_dumped"}
        migrate.upgrade(store)
        assert rows_of(first) == before


def test_a_host_s_dumps_are_found_by_their_index(store: Database) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL's planner reads small tables whole")
    seen: list[str] = []

    def explain(_c: object, cursor: Any, statement: str, given: Any, *_rest: object) -> None:
        if "origin <> 'log'" in statement or "FROM source" in statement:
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
            seen.extend(row[-1] for row in plan)

    event.listen(store.engine, "before_cursor_execute", explain)
    with store.write() as connection:
        record(connection, [sighting(1, "web01")])
        arrival = sources.Arrival(
            content="0" * 64, kind=SourceKind.LOG, name="log", path="/log", host="web01", size=1
        )
        sources.find_or_add(connection, [arrival], now=0.0)
    assert any("ix_crash_dumped" in step for step in seen)
    assert any("ix_source_path" in step for step in seen)
    assert not any(step.startswith("SCAN crash") or step == "SCAN source" for step in seen)
