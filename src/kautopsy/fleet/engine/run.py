"""The coordinator: claims jobs, hands them to Dask, stores what comes back, keeps leases alive."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import msgspec

from kautopsy.fleet.database import Database
from kautopsy.fleet.engine import analyse, jobs
from kautopsy.fleet.engine.cluster import cluster, threads
from kautopsy.fleet.engine.store import store
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.nouns import Outcome
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import KautopsyError, UnreachableError
from kautopsy.triage.isolation import CHILD

if TYPE_CHECKING:
    from distributed import Client, Future

_IDLE_SECONDS = 1.0
_WITHOUT_WORKERS = 60.0


class Coordinator:
    """Analyses what is queued in a store.

    Several may work on one store, each with its own leases.

    :param command: what to run as the child of a dump
    :param on_done: called with every job that is done
    """

    def __init__(
        self,
        database: Database,
        data: DataFolder,
        settings: Settings,
        *,
        command: tuple[str, ...] = CHILD,
        on_done: Callable[[jobs.Job, analyse.Result], None] | None = None,
    ) -> None:
        self._database = database
        self._data = data
        self._settings = settings
        self._command = command
        self._on_done = on_done
        self._me = jobs.owner()
        self._came_back: queue.SimpleQueue[Future[bytes]] = queue.SimpleQueue()
        self._flying: dict[Future[bytes], jobs.Job] = {}
        self.outcomes: dict[Outcome, int] = {}

    def run(self, *, stop: threading.Event | None = None, forever: bool = False) -> None:
        """Work until nothing is queued, or, ``forever``, until ``stop`` is set.

        Other coordinators' leases are not waited for.

        :raises UnreachableError: the scheduler is not there or went away; nothing is lost by that
        """
        stop = stop or threading.Event()
        with self._database.write() as connection:
            jobs.take_over_from_the_dead(connection)
        with cluster(self._settings.scheduler, self._settings.workers) as client:
            try:
                self._work(client, stop, forever)
            finally:
                with self._database.write() as connection:
                    jobs.give_back(connection, self._me)

    def _work(self, client: Client, stop: threading.Event, forever: bool) -> None:
        renewed = time.monotonic()
        seen_workers = time.monotonic()
        while not stop.is_set():
            room = 2 * threads(client) - len(self._flying)
            if threads(client):
                seen_workers = time.monotonic()
            elif time.monotonic() - seen_workers > _WITHOUT_WORKERS:
                raise UnreachableError(
                    "the scheduler has no workers, or is gone",
                    thing=self._settings.scheduler,
                    slug="no-workers",
                    hint="kautopsy fleet worker " + self._settings.scheduler,
                )
            claimed = self._claim(room)
            for job in claimed:
                self._submit(client, job)
            if not self._flying and not claimed and not forever:
                return
            self._collect(client)
            if time.monotonic() - renewed > self._settings.lease / 3:
                renewed = time.monotonic()
                with self._database.write() as connection:
                    jobs.renew(connection, self._me, lease=self._settings.lease)

    def _claim(self, room: int) -> tuple[jobs.Job, ...]:
        if room <= 0:
            return ()
        with self._database.read() as connection:
            if not jobs.waiting(connection) - len(self._flying):
                return ()
        with self._database.write() as connection:
            return jobs.claim(connection, self._me, count=room, lease=self._settings.lease)

    def _submit(self, client: Client, job: jobs.Job) -> None:
        try:
            path = self._data.path_of(job.path)
        except KautopsyError as error:
            gone = analyse.Result(
                job_id=job.id, outcome=Outcome.UNREADABLE, detail=str(error), seconds=0.0
            )
            self._store(job, gone)
            return
        task = analyse.Task(
            job_id=job.id,
            path=str(path),
            time_limit=self._settings.time_limit,
            memory_limit=self._settings.memory_limit,
            debuginfo=self._settings.debuginfo,
            command=self._command,
        )
        future = client.submit(
            analyse.run,
            msgspec.msgpack.encode(task),
            key=f"dump-{job.id}-{job.attempt}-{time.monotonic_ns()}",
            pure=False,
        )
        self._flying[future] = job
        future.add_done_callback(self._came_back.put)

    def _collect(self, client: Client) -> None:
        """Wait for an answer, and store all that came."""
        wait = _IDLE_SECONDS
        while True:
            try:
                future = self._came_back.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.001
            job = self._flying.pop(future, None)
            if job is None:
                continue
            try:
                answer = msgspec.msgpack.decode(future.result(), type=analyse.Result)
            except CancelledError:
                # The scheduler went away, or forgot us: the dump was not at fault.
                with self._database.write() as connection:
                    jobs.give_back(connection, self._me, [job.id])
                if client.status != "running":
                    raise UnreachableError(
                        "the scheduler went away",
                        thing=self._settings.scheduler,
                        slug="no-scheduler",
                        hint="start it again, then this: nothing is lost",
                    ) from None
            except Exception as error:  # whatever Dask or a worker's Python raises: a try was lost
                self._lost(job, error)
            else:
                self._store(job, answer)
            with contextlib.suppress(Exception):
                future.release()

    def _lost(self, job: jobs.Job, error: Exception) -> None:
        with self._database.write() as connection:
            if job.attempt >= jobs.MOST_TRIES and jobs.holds(connection, job.id, self._me):
                detail = f"lost {job.attempt} times without an answer: {error}"
                jobs.finish(connection, job.id, Outcome.QUARANTINED, detail=detail[:500])
                self._count(Outcome.QUARANTINED)
            else:
                jobs.give_back(connection, self._me, [job.id], count=True)

    def _store(self, job: jobs.Job, answer: analyse.Result) -> None:
        with self._database.write() as connection:
            if not jobs.holds(connection, job.id, self._me):
                return
            store(connection, job, answer)
        self._count(answer.outcome)
        if self._on_done is not None:
            self._on_done(job, answer)

    def _count(self, outcome: Outcome) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
