"""Dumps that kill their readers, workers that die, coordinators that are killed: nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from tests.fleet import dask_cluster, poison

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.engine import jobs
from kautopsy.fleet.intake.ingest import Ingest
from kautopsy.fleet.nouns import Outcome
from kautopsy.fleet.queries import groups, work
from kautopsy.model.errors import UnreachableError

pytestmark = pytest.mark.slow

COORDINATOR = """
import sys
from pathlib import Path
from tests.fleet import poison
from kautopsy.fleet.database import Database
poison.analyse(Database.open(sys.argv[1]), Path(sys.argv[2]), data=Path(sys.argv[3]), lease=2.0)
"""


def test_poison_is_blamed_by_name_and_nobody_else(store: Database, tmp_path: Path) -> None:
    folder = poison.dumps(tmp_path / "dumps", 40, poison=poison.POISON)
    poison.analyse(store, folder, data=tmp_path / "data")
    ended = poison.outcomes(store)
    assert {name: how for name, how in ended.items() if how != "ok"} == poison.BLAMED
    assert len(ended) == 40
    # Each dump that could be read is one crash, and once.
    expected = [1000.0 + n for n in range(40) if n not in poison.POISON]
    assert poison.crashes(store) == expected
    with store.read() as connection:
        page = groups.ranked(connection)
        assert [(g.crashes, g.deaths, g.hosts) for g in page.groups] == [(36, 36, 1)]
        failed = {job.name: job.detail for job in work.jobs(connection, failed=True)}
    assert "SIGKILL" in failed["kill-7"]
    assert "SIGABRT" in failed["abort-13"]
    assert "1024 MiB" in failed["eat-21"]
    assert "8 s" in failed["hang-30"]


def test_a_worker_killed_meanwhile_costs_nothing(store: Database, tmp_path: Path) -> None:
    folder = poison.dumps(tmp_path / "dumps", 40, poison=poison.POISON)
    with dask_cluster.cluster(2) as cluster:
        killer = threading.Timer(3.0, cluster.kill_worker, (0,))
        killer.start()
        poison.analyse(store, folder, data=tmp_path / "data", scheduler=cluster.address)
        killer.join()
    ended = poison.outcomes(store)
    assert {name: how for name, how in ended.items() if how != "ok"} == poison.BLAMED
    assert poison.crashes(store) == [1000.0 + n for n in range(40) if n not in poison.POISON]


def test_a_coordinator_killed_again_and_again_loses_and_doubles_nothing(
    store_url: str, tmp_path: Path
) -> None:
    folder = poison.dumps(tmp_path / "dumps", 24)
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", COORDINATOR, store_url, str(folder), str(tmp_path / "data")]
    Database.open(store_url).close()
    for seconds in (3.0, 2.0, 4.0):
        process = subprocess.Popen(argv, cwd=root, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Database.open(store_url) as store:
        # What was flying when it was killed twice may be quarantined, never lost: ask again.
        with store.write() as connection:
            jobs.take_over_from_the_dead(connection)
            connection.execute(
                update(schema.job)
                .where(schema.job.c.state != "done")
                .values(state="queued", attempts=0, lease_until=None, lease_owner="")
            )
            jobs.queue_again(connection, failed=True)
        poison.analyse(store, folder, data=tmp_path / "data")
        assert set(poison.outcomes(store).values()) == {"ok"}
        assert poison.crashes(store) == [1000.0 + n for n in range(24)]
        with store.read() as connection:
            assert groups.ranked(connection).groups[0].crashes == 24
            assert connection.scalar(select(func.count()).select_from(schema.report)) == 24


def _queue(store: Database, tmp_path: Path, count: int) -> None:
    Ingest(store).paths([poison.dumps(tmp_path / "dumps", count)])


def test_a_lease_that_ran_out_goes_to_another_and_twice_to_quarantine(
    store: Database, tmp_path: Path
) -> None:
    _queue(store, tmp_path, 1)
    with store.write() as connection:
        (job,) = jobs.claim(connection, "one:1:1", count=5, lease=10, now=100.0)
        assert jobs.claim(connection, "two:2:2", count=5, lease=10, now=105.0) == ()
        (again,) = jobs.claim(connection, "two:2:2", count=5, lease=10, now=111.0)
        assert (again.id, again.attempt) == (job.id, 2)
        # The first is back from the dead: it holds nothing any more.
        assert not jobs.holds(connection, job.id, "one:1:1")
        assert jobs.claim(connection, "one:1:1", count=5, lease=10, now=122.0) == ()
    with store.read() as connection:
        (row,) = work.jobs(connection)
    assert (row.outcome, row.attempts) == (Outcome.QUARANTINED, 2)


def test_a_lease_that_is_renewed_stays(store: Database, tmp_path: Path) -> None:
    _queue(store, tmp_path, 2)
    with store.write() as connection:
        jobs.claim(connection, "one:1:1", count=1, lease=10, now=100.0)
        assert jobs.renew(connection, "one:1:1", lease=10, now=109.0) == 1
        assert len(jobs.claim(connection, "two:2:2", count=5, lease=10, now=115.0)) == 1


def test_a_dead_neighbour_is_not_waited_for(store: Database, tmp_path: Path) -> None:
    _queue(store, tmp_path, 1)
    mine = jobs.owner()
    host = mine.split(":")[0]
    with store.write() as connection:
        jobs.claim(connection, f"{host}:{os.getpid()}:1", count=1, lease=1000)
        assert jobs.take_over_from_the_dead(connection) == 1
        (job,) = jobs.claim(connection, mine, count=1, lease=1000)
        assert jobs.take_over_from_the_dead(connection) == 0
        assert job.attempt == 2


def test_no_scheduler(store: Database, tmp_path: Path) -> None:
    _queue(store, tmp_path, 1)
    with pytest.raises(UnreachableError, match="no-scheduler"):
        poison.analyse(
            store, tmp_path / "dumps", data=tmp_path / "data", scheduler="tcp://127.0.0.1:1"
        )
    with store.read() as connection:
        assert work.jobs(connection)[0].state == "queued"
