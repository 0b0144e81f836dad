"""Stores to test with: SQLite and PostgreSQL alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

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
    """The address of an empty store, of each kind.

    Of PostgreSQL a schema, not a database: each has a thousand files, which take seconds to remove.
    """
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fleet.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    name = _new(url, "SCHEMA")
    return f"{url}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fleet.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("/postgres?", f"/{_new(url, 'DATABASE')}?")


def _new(url: str, what: Literal["SCHEMA", "DATABASE"]) -> str:
    import psycopg

    name = f"store{next(_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE {what} {name}")
    return name


@pytest.fixture
def store(store_url: str) -> Iterator[Database]:
    """An empty store, of each kind."""
    with Database.open(store_url) as database:
        yield database
