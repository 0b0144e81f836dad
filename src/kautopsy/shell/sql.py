"""SQL over the tables of dumps: DuckDB, in memory, cut off from the machine.

A table is read when a query names it, and only then. Once the rows are there, the database is
locked: no file, no extension, no network, no setting can be reached from a query.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kautopsy.model.errors import KautopsyError, UsageError
from kautopsy.shell.duck import (
    DUMPS,
    THREADS,
    connect,
    create,
    dumps_row,
    insert,
    insert_bare,
    literal,
    schema,
)
from kautopsy.shell.snapshot import Snapshot
from kautopsy.shell.sql_messages import Opened
from kautopsy.shell.sql_source import DumpSource
from kautopsy.shell.sql_views import VIEWS
from kautopsy.shell.sql_words import columns_of, named

if TYPE_CHECKING:
    import duckdb

Source = DumpSource | Snapshot


@dataclass(frozen=True)
class Result:
    """Rows of a query.

    :param types: SQL types, one a column
    :param truncated: there were more rows than were asked for
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


class Database:
    """A query's tables, filled from ``sources``.

    :param memory_bytes: what DuckDB may use; a query that needs more fails, nothing is swapped out
    :param ready: called when the rows are there and the query is about to run
    :raises MissingToolError: the extra ``sql`` is not installed
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        memory_bytes: int = 1 << 30,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._sources, self._ready = sources, ready
        # The first children open their dumps while DuckDB is loaded and the query is looked at.
        for source in sources[:THREADS]:
            if isinstance(source, DumpSource):
                source.begin()
        try:
            self._connection = connect(memory_bytes)
        except KautopsyError:
            self._give_up()
            raise
        self.notes: list[str] = []
        """What the rows lack, and why."""
        self.failures: list[KautopsyError] = []
        """Dumps that could not be opened."""

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._give_up()

    def _give_up(self) -> None:
        for source in self._sources:
            if isinstance(source, DumpSource):
                source.give_up()

    def query(self, text: str, *, max_rows: int, seconds: float) -> Result:
        """Fill the tables that ``text`` names, lock the database, run ``text``.

        :raises UsageError: not one query, or SQL says that it is wrong (slugs ``not-a-query``,
            ``bad-sql``), or it ran out of memory or time (``query-memory``, ``query-time``)
        """
        _one_query(self._connection, text)
        self._fill(named(text), columns_of(self._connection, text))
        self._lock()
        with self._bounded(seconds):
            cursor = self._connection.execute(text)
            rows = cursor.fetchmany(max_rows + 1)
        described = cursor.description or []
        return Result(
            tuple(str(one[0]) for one in described),
            tuple(str(one[1]) for one in described),
            tuple(rows[:max_rows]),
            truncated=len(rows) > max_rows,
        )

    def save(self, text: str, path: Path, *, seconds: float) -> int:
        """As :meth:`query`, into a Parquet file; how many rows it holds.

        :raises UsageError: as :meth:`query`
        """
        _one_query(self._connection, text)
        self._fill(named(text), columns_of(self._connection, text))
        self._lock(path)
        body = text.strip().rstrip(";")
        copy = f"COPY (\n{body}\n) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        with self._bounded(seconds):
            [count] = self._connection.execute(copy).fetchone() or (0,)
        return int(count)

    @contextlib.contextmanager
    def _bounded(self, seconds: float) -> Iterator[None]:
        """What runs within ends in time, and its errors are ours."""
        import duckdb

        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.start()
        try:
            yield
        except duckdb.InterruptException as error:
            raise too_long(seconds) from error
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise too_large() from error
        except duckdb.PermissionException as error:
            raise UsageError(
                "a query may not reach files, extensions or the network",
                slug="not-allowed",
                hint="it sees the dump's tables only: kautopsy sql --schema",
            ) from error
        except duckdb.CatalogException as error:
            raise UsageError(
                _first_line(error), slug="bad-sql", hint="kautopsy sql --schema lists the tables"
            ) from error
        except duckdb.Error as error:
            raise UsageError(_first_line(error), slug="bad-sql") from error
        finally:
            timer.cancel()

    def _fill(self, names: set[str], columns: frozenset[str] | None) -> None:
        wanted = schema()
        for name in sorted(names & wanted.keys()):
            create(self._connection, name)
        ask = tuple(sorted(names & wanted.keys() - {DUMPS}))
        if names & wanted.keys():
            # A thread for each child process, no more of them than there are processors.
            with ThreadPoolExecutor(max_workers=THREADS) as pool:
                list(
                    pool.map(lambda source: self._load(source, ask, names, columns), self._sources)
                )
        for view in VIEWS:
            if view.name in names:
                self._connection.execute(f'CREATE VIEW "{view.name}" AS {view.query}')

    def _load(
        self,
        source: Source,
        ask: tuple[str, ...],
        names: set[str],
        columns: frozenset[str] | None,
    ) -> None:
        cursor = self._connection.cursor()
        try:
            if isinstance(source, Snapshot):
                self.notes += [f"{source.name}: {note}" for note in source.load(cursor, ask)]
                opened: Opened | None = source.opened
            else:
                opened = None
                for answer in source.answers(ask, columns, header=DUMPS in names):
                    opened = answer.opened or opened
                    if answer.table and answer.columns == ():
                        insert_bare(cursor, answer.table, answer.count, source.name)
                    elif answer.table:
                        insert(
                            cursor, answer.table, bytes(answer.rows), source.name, answer.columns
                        )
                    if answer.note:
                        self.notes.append(f"{source.name}: {answer.note}")
            assert opened is not None  # answers() raises if the dump cannot be opened
            self.notes += [f"{source.name}: {problem}" for problem in opened.dump.problems]
            if DUMPS in names:
                insert(cursor, DUMPS, dumps_row(opened), source.name)
        except KautopsyError as error:
            self.failures.append(error)
        finally:
            cursor.close()

    def _lock(self, output: Path | None = None) -> None:
        if output is not None:
            self._connection.execute(f"SET allowed_paths = [{literal(str(output))}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._ready()


def too_long(seconds: float) -> UsageError:
    """A query met its limit of time."""
    return UsageError(
        f"the query took longer than its {seconds:.0f} s",
        slug="query-time",
        hint="narrow it, or raise --time-limit",
    )


def too_large() -> UsageError:
    """A query met its limit of memory."""
    return UsageError(
        "the query needs more memory than it may use",
        slug="query-memory",
        hint="narrow it, or raise --memory-limit",
    )


def _one_query(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    import duckdb

    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise UsageError(_first_line(error), slug="bad-sql") from error
    kinds = duckdb.StatementType
    # PIVOT is MULTI: it first asks which values there are.
    queries = (kinds.SELECT, kinds.EXPLAIN, kinds.MULTI)
    try:
        wanted = len(statements) == 1 and statements[0].type in queries
    except ValueError:  # UPDATE EXTENSIONS: of a kind that DuckDB has no name for
        wanted = False
    if not wanted:
        raise UsageError(
            "one query is wanted, and nothing that changes anything",
            slug="not-a-query",
            hint="SELECT …, FROM …, DESCRIBE table",
        )


def _first_line(error: BaseException) -> str:
    """DuckDB's message without its drawing of where in the query it is."""
    lines = str(error).splitlines()
    return next((line for line in lines if line.strip()), type(error).__name__)
