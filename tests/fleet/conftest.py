"""Stores to test with: SQLite and PostgreSQL alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fleet import postgres

from kautopsy.fleet.database import Database

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server of our own."""
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fleet.sqlite'}"
    import psycopg

    url: str = request.getfixturevalue("postgres_url")
    name = f"store{next(_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        # Not a database: each has a thousand files, which take seconds to remove.
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}&options=-csearch_path%3D{name}"


@pytest.fixture
def store(store_url: str) -> Iterator[Database]:
    """An empty store, of each kind."""
    with Database.open(store_url) as database:
        yield database
