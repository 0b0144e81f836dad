"""A query in a process of its own, which may die of it.

What DuckDB does not count, the kernel counts: its limit on memory leaves single values out
(``range(1000000000)`` takes 8 GB, ``repeat('x', 4000000000)`` 4), and what it computes while it
plans a query cannot be interrupted. A server that asks in its own process would die with them.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from kautopsy.model.errors import KautopsyError, UsageError
from kautopsy.shell.sql import Database, Result, Source, too_large, too_long
from kautopsy.triage.child import Failure
from kautopsy.triage.limits import end_with_parent

_BESIDES = 512 << 20
"""Bytes that a process needs besides what DuckDB counts: itself, and rows on their way out."""
_GRACE = 3.0
"""Seconds for a query that was interrupted to end by itself."""


@dataclass(frozen=True)
class Query:
    """What is asked, and its limits.

    :param save: a Parquet file to write the rows to; none come back then
    :param seconds: for the query, once the rows that it asks for are there
    :param memory_bytes: for the query; nothing is swapped out
    """

    text: str
    max_rows: int = 100_000
    seconds: float = 600.0
    memory_bytes: int = 1 << 30
    save: Path | None = None


@dataclass(frozen=True)
class Asked:
    """What came of it.

    :param result: None where the rows were saved: ``saved`` of them
    :param notes: what the rows lack, and why
    :param failures: dumps that could not be opened
    """

    result: Result | None
    saved: int
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def ask(sources: Sequence[Source], query: Query) -> Asked:
    """Ask ``sources``.

    :raises UsageError: as :meth:`Database.query`
    :raises MissingToolError: the extra ``sql`` is not installed
    """
    # A process with threads must not be forked; a new interpreter takes a tenth of a second more.
    alone = threading.active_count() == 1
    context = get_context("fork") if alone else get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(there, sources, query), daemon=True)
    child.start()
    there.close()
    try:
        return _listen(here, query)
    except EOFError:
        child.join(_GRACE)
        if child.exitcode is None or child.exitcode >= 0:
            raise RuntimeError(f"what answers queries ended with {child.exitcode}") from None
        raise UsageError(
            f"the process that answered the query died of it ({_signal(-child.exitcode)})",
            slug="query-memory",
            hint="it may have asked for more memory than it may use: narrow it",
        ) from None
    finally:
        child.kill()
        child.join()
        here.close()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"


def _listen(pipe: Connection, query: Query) -> Asked:
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not pipe.poll(left):
            raise too_long(query.seconds)
        told = pipe.recv()
        if isinstance(told, Failure):
            raise told.error()
        if isinstance(told, Asked):
            return told
        deadline = time.monotonic() + query.seconds + _GRACE


def _answer(pipe: Connection, sources: Sequence[Source], query: Query) -> None:
    """In the child: its answer, or why there is none, goes into ``pipe``."""
    # Ctrl-C reaches all processes of a terminal; the parent tells of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(signal.SIGKILL)

    def ready() -> None:
        _limit_memory(query.memory_bytes + _BESIDES)
        pipe.send(None)

    with (
        _told_to(pipe, query),
        Database(sources, memory_bytes=query.memory_bytes, ready=ready) as database,
    ):
        result, saved = None, 0
        if query.save is not None:
            saved = database.save(query.text, query.save, seconds=query.seconds)
        else:
            result = database.query(query.text, max_rows=query.max_rows, seconds=query.seconds)
        failures = tuple(Failure.of(one) for one in database.failures)
        pipe.send(Asked(result, saved, tuple(database.notes), failures))


@contextlib.contextmanager
def _told_to(pipe: Connection, query: Query) -> Iterator[None]:
    try:
        yield
    except KautopsyError as error:
        pipe.send(Failure.of(error))
    except MemoryError:
        pipe.send(Failure.of(too_large()))


def _limit_memory(more: int) -> None:
    """Bound what this process takes from now on; nothing that it has started is touched."""
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = data + more
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
