"""The way to the tables: one URL, SQLite or PostgreSQL; one writer at a time on both.

Writing transactions are serialised (SQLite: ``BEGIN IMMEDIATE``; PostgreSQL: an advisory lock), so
that counters, leases and groups are read and changed without races. They are short: intake writes
batches, the engine a row a dump.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from kautopsy.model.base import from_json
from kautopsy.model.errors import UnreadableError, UsageError

_BUSY_SECONDS = 120
_CONNECTIONS = 16
_POOL_SECONDS = 120
# Any number that nobody else uses in this database: "kaut".
_WRITER_LOCK = 0x6B617574

_S = TypeVar("_S", bound=msgspec.Struct)


class Database:
    """An open store.

    :ivar url: without its password
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Threads of this process wait here, and not with a connection each at the database's door.
        self._writer = threading.Lock()
        self.url = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str, *, upgrade: bool = True) -> Database:
        """Open the store at ``url``, make it where there is none, migrate it where it is old.

        :param url: ``sqlite:///relative.sqlite``, ``sqlite:////absolute``,
            ``postgresql://user@host/name``, or the path of a SQLite file
        :param upgrade: False: leave an older schema alone, and complain of it
        :raises UsageError: no such kind of database
        :raises UnreadableError: it cannot be opened, or a newer kautopsy made it
        """
        from kautopsy.fleet import migrate

        database = cls(_engine(url))
        with ExitStack() as on_failure:
            on_failure.callback(database.close)
            try:
                if upgrade:
                    migrate.upgrade(database)
                else:
                    migrate.check(database)
            except (DBAPIError, sqlite3.Error) as error:
                raise UnreadableError(
                    _first_line(error),
                    thing=database.url,
                    slug="no-database",
                    hint="does the server run, may we in, and does the directory exist?",
                ) from error
            on_failure.pop_all()
        return database

    @property
    def engine(self) -> Engine:
        """What connects, for those who watch it."""
        return self._engine

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server."""
        return Path(str(self._engine.url.database)) if self.is_sqlite else None

    @property
    def full_url(self) -> str:
        """With the password: for another process that opens the same store."""
        return self._engine.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries: one consistent picture on both databases."""
        with self._engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed at the end, undone on an exception; nobody else writes."""
        with self._writer, self._engine.connect() as connection:
            connection = connection.execution_options(kautopsy_writes=True)
            if not self.is_sqlite:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK}
                )
            yield connection
            connection.commit()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A bare connection, for migrations and copies."""
        with self._engine.connect() as connection:
            yield connection


def _engine(url: str) -> Engine:
    if "://" not in url:
        url = f"sqlite:///{url}"
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise UsageError(
                f"{backend} is no database that is supported",
                thing=url.split("://", 1)[0],
                hint="sqlite or postgresql",
                slug="bad-database",
            )
        if backend == "sqlite":
            engine = create_engine(
                parsed,
                connect_args={"timeout": _BUSY_SECONDS},
                pool_size=_CONNECTIONS,
                pool_timeout=_POOL_SECONDS,
            )
            _set_up_sqlite(engine)
            return engine
        return create_engine(
            parsed, pool_pre_ping=True, pool_size=_CONNECTIONS, pool_timeout=_POOL_SECONDS
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(
            "is no address of a database",
            hint="sqlite:////var/lib/kautopsy/fleet.sqlite or postgresql://user@host/name",
            slug="bad-database",
        ) from error


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 begins transactions by itself, and late: we begin them.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-16384")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("kautopsy_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _first_line(error: BaseException) -> str:
    words = str(error.orig) if isinstance(error, DBAPIError) and error.orig else str(error)
    return words.strip().split("\n", 1)[0]


def pack(document: msgspec.Struct) -> bytes:
    """A document as a column keeps it."""
    return zlib.compress(msgspec.json.encode(document), 1)


def unpack(raw: bytes, kind: type[_S]) -> _S:
    """The reverse of :func:`pack`."""
    return from_json(zlib.decompress(raw), kind)


def as_struct(row: Any, kind: type[_S]) -> _S:
    """A row whose columns are named as the fields of ``kind``."""
    # A column's name may be a subclass of str, which msgspec takes for no name.
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, kind)
