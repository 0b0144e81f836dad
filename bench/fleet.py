"""The fleet in figures: `make bench-fleet` prints them all, `python bench/fleet.py NAME...` some.

poison    40 dumps, four of which kill, abort, overfeed and hang their reader; a worker is killed
intake    console crashes a second, on one core, with SQLite; memory at a tenth and at the end
pages     the queries behind a page of a group with 10,000 crashes
overhead  what the engine costs at one second a dump on two workers, and what a second worker gains
kill      an ingest that is SIGKILLed at 50 random moments: what was lost, what was doubled
uploads   200 at a time, 20 of them cut off and resumed
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import GeneratorType
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from sqlalchemy import func, select  # noqa: E402
from tests.fleet import dask_cluster, poison, postgres  # noqa: E402
from tests.fleet.samples import console  # noqa: E402

from kautopsy.fleet import attribution, schema  # noqa: E402
from kautopsy.fleet.database import Database  # noqa: E402
from kautopsy.fleet.files import DataFolder  # noqa: E402
from kautopsy.fleet.grouping.record import record  # noqa: E402
from kautopsy.fleet.intake import sources  # noqa: E402
from kautopsy.fleet.intake.ingest import Ingest  # noqa: E402
from kautopsy.fleet.intake.logs import sightings  # noqa: E402
from kautopsy.fleet.intake.sniff import sniff  # noqa: E402
from kautopsy.fleet.intake.upload import Uploads  # noqa: E402
from kautopsy.fleet.queries import crashes, groups  # noqa: E402
from kautopsy.fleet.settings import Settings  # noqa: E402

CRASHES = int(os.environ.get("FLEET_CRASHES", "100000"))
GROUPS = 200
HOSTS = 2000
KILLS = 50


@contextmanager
def stores(folder: Path) -> Iterator[list[tuple[str, str]]]:
    """The databases there are: name and address."""
    found = [("SQLite", f"sqlite:///{folder / 'fleet.sqlite'}")]
    if postgres.binaries() is None:
        print("PostgreSQL is not installed: left out")
        yield found
        return
    with postgres.server() as url:
        yield [*found, ("PostgreSQL", url)]


def bench_poison(folder: Path) -> None:
    with stores(folder) as found:
        for name, url in found:
            place = folder / name
            place.mkdir()
            dumps = poison.dumps(place / "dumps", 40, poison=poison.POISON)
            with Database.open(url) as store, dask_cluster.cluster(2) as cluster:
                killer = threading.Timer(3.0, cluster.kill_worker, (0,))
                killer.start()
                started = time.monotonic()
                poison.analyse(
                    store, dumps, data=place / "data", scheduler=cluster.address, time_limit=5.0
                )
                seconds = time.monotonic() - started
                killer.join()
                ended = poison.outcomes(store)
                stored = poison.crashes(store)
            blamed = {dump: how for dump, how in ended.items() if how != "ok"}
            print(
                f"{name}: {sum(how == 'ok' for how in ended.values())} ok, blamed {blamed}"
                f" (exactly those: {blamed == poison.BLAMED}); {len(stored)} crashes stored,"
                f" {len(set(stored))} different; a worker killed meanwhile; {seconds:.0f} s"
            )


class Stages:
    """Processor time of the stages of an ingest, measured from outside."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose time is booked under ``name``; of an iterator that of its steps."""

        def steps(found: Iterator[Any]) -> Iterator[Any]:
            while True:
                began = time.process_time()
                one = next(found, None)
                self._book(name, began)
                if one is None:
                    return
                yield one

        def called(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            found = function(*given, **named)
            self._book(name, began)
            return steps(found) if isinstance(found, GeneratorType) else found

        return called

    def _book(self, name: str, began: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began


def bench_intake(folder: Path) -> None:
    few = CRASHES // 10
    for what, count, kinds in (
        ("that recur", CRASHES, GROUPS),
        ("no two of which are alike", few, few),
    ):
        print(f"crashes {what}:")
        place = folder / what
        place.mkdir()
        _intake(place, count, kinds)


def _intake(folder: Path, count: int, kinds: int) -> None:
    logs = folder / "logs"
    logs.mkdir()
    per_host = max(1, count // HOSTS)
    for host in range(HOSTS):
        with (logs / f"host{host:04d}.log").open("w") as out:
            for number in range(host * per_host, (host + 1) * per_host):
                out.write(console(number, function=f"frob{number % kinds}_start"))
    size = sum(path.stat().st_size for path in logs.iterdir())
    memory: list[int] = []
    marks: list[float] = []
    files = 0

    def on_file(_path: Path) -> None:
        nonlocal files
        files += 1
        if files % (HOSTS // 10) == 0:
            memory.append(_resident())
            marks.append(time.process_time())

    stages = Stages()
    stage = stages.timed
    with (
        patch(f"{Ingest.__module__}.sightings", stage("reading", sightings)),
        patch(f"{Ingest.__module__}.record", stage("grouping and storing", record)),
        patch(f"{Ingest.__module__}.sniff", stage("telling files apart", sniff)),
        patch.object(sources, "find_or_add", stage("entering files", sources.find_or_add)),
        Database.open(f"sqlite:///{folder / 'intake.sqlite'}") as store,
    ):
        wall, cpu = time.monotonic(), time.process_time()
        tally = Ingest(store, on_file=on_file).paths([logs])
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        with store.read() as connection:
            there = connection.scalar(select(func.count()).select_from(schema.crash))
            grouped = groups.ranked(connection).total
    new = tally.new_crashes
    print(
        f"  {new} crashes ({size / new:.0f} bytes each) of {HOSTS} hosts into {grouped} groups:"
        f" {new / cpu:.0f} a second of processor time"
        f" (of tenths: {' '.join(f'{new / 10 / (b - a):.0f}' for a, b in pairwise(marks))}),"
        f" {new / wall:.0f} a second by the clock (load {os.getloadavg()[0]:.1f});"
        f" in the store: {there}"
    )
    rest = cpu - sum(stages.seconds.values())
    for name, seconds in [*stages.seconds.items(), ("commits and the rest", rest)]:
        print(f"  {name}: {1e6 * seconds / new:.0f} us a crash, {100 * seconds / cpu:.0f} %")
    print(
        f"  resident memory after each tenth, MiB: {' '.join(str(one >> 20) for one in memory)}"
        f" ({memory[-1] / memory[0]:.2f} times)"
    )


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bench_pages(folder: Path) -> None:
    log = folder / "messages"
    with log.open("w") as out:
        for number in range(10_000):
            lines = console(number).splitlines()
            out.writelines(f"host{number % 3000:04d} {line}\n" for line in lines)
    with Database.open(f"sqlite:///{folder / 'pages.sqlite'}") as store:
        Ingest(store).paths([log])
        attribution.refresh(store)
        for name, ask in (
            ("ranking", lambda connection: groups.ranked(connection)),
            ("group", lambda connection: groups.detail(connection, 1)),
            ("its crashes", lambda connection: groups.crashes_of(connection, 1)),
            ("what it follows", lambda connection: attribution.attribution(connection, 1)),
            ("crash", lambda connection: crashes.detail(connection, 5000)),
        ):
            times = []
            for _ in range(7):
                with store.read() as connection:
                    started = time.process_time()
                    ask(connection)
                    times.append(time.process_time() - started)
            print(
                f"{name}: {1000 * statistics.median(times):.1f} ms of processor time (median of 7)"
            )


def _note(
    answers: list[tuple[float, float, float]], cpu: Callable[[], float], child: float
) -> None:
    answers.append((time.monotonic(), child, cpu()))


def bench_overhead(folder: Path) -> None:
    seconds, count = {"POISON_SECONDS": "1"}, 40
    taken: dict[int, float] = {}
    for workers in (1, 2):
        place = folder / str(workers)
        place.mkdir()
        dumps = poison.dumps(place / "dumps", count, what="slow")
        with (
            Database.open(f"sqlite:///{place / 'fleet.sqlite'}") as store,
            dask_cluster.cluster(workers, environment=seconds) as cluster,
        ):
            Ingest(store, host="web01").paths([dumps])
            answers: list[tuple[float, float, float]] = []
            poison.coordinator(
                store,
                data=place / "data",
                scheduler=cluster.address,
                time_limit=30.0,
                on_seconds=partial(_note, answers, cluster.processor_time),
            ).run()
        # From the first that is done to the last: cluster and store are up.
        taken[workers] = (answers[-1][0] - answers[0][0]) / (count - workers)
        busy = statistics.mean(child for _at, child, _cpu in answers) / workers
        cpu = (answers[-1][2] - answers[0][2]) / (count - 1)
        print(
            f"{workers} workers: {taken[workers]:.3f} s of the clock a dump, of which its child"
            f" {busy:.3f} s: the engine adds {100 * (taken[workers] / busy - 1):.1f} %"
            f" (load {os.getloadavg()[0]:.1f}); coordinator, scheduler and workers compute"
            f" {1000 * cpu:.0f} ms a dump"
        )
    print(f"a second worker: {taken[1] / taken[2]:.2f} times as fast")


def bench_kill(folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir()
    count = 20_000
    for host in range(40):
        with (logs / f"host{host:02d}.log").open("w") as out:
            for number in range(host * count // 40, (host + 1) * count // 40):
                out.write(console(number, function=f"frob{number % GROUPS}_start"))
    rng = random.Random(50)
    with stores(folder) as found:
        for name, url in found:
            Database.open(url).close()
            argv = [
                sys.executable, "-m", "kautopsy", "fleet", "ingest", str(logs),
                "--database", url, "--data", str(folder / f"{name}-data"), "--later",
            ]  # fmt: skip
            kills = 0
            while kills < KILLS:
                process = subprocess.Popen(
                    argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                try:
                    process.wait(timeout=rng.uniform(0.5, 4.0))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                else:
                    break
            with Database.open(url) as store:
                Ingest(store).paths([logs])
                with store.read() as connection:
                    crash = schema.crash.c
                    there = connection.scalar(select(func.count()).select_from(schema.crash)) or 0
                    stamps = connection.scalar(select(func.count(crash.event.distinct()))) or 0
                    counted = connection.scalar(select(func.sum(schema.group.c.crashes)))
                    by_day = connection.scalar(select(func.sum(schema.group_day.c.crashes)))
            print(
                f"{name}: killed {kills} times: {count - there} of {count} crashes lost,"
                f" {there - stamps} doubled; counters say {counted} and {by_day}"
            )


def bench_uploads(folder: Path) -> None:
    with Database.open(f"sqlite:///{folder / 'uploads.sqlite'}") as store:
        data = DataFolder(folder / "data")
        uploads = Uploads(store, data, Settings())
        cut = 0

        def one(number: int) -> int:
            nonlocal cut
            raw = "".join(console(number * 100 + n) for n in range(20)).encode()
            upload = uploads.begin(
                host=f"host{number}",
                name="console.log",
                size=len(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
            )
            if number % 10 == 0:
                with uploads.receive(upload.id, 0) as receiver:
                    receiver.write(raw[: len(raw) // 2])
                cut += 1
            at = uploads.status(upload.id).offset
            with uploads.receive(upload.id, at) as receiver:
                receiver.write(raw[at:])
            uploads.finish(upload.id)
            return len(raw)

        with ThreadPoolExecutor(200) as pool:
            sent = sum(pool.map(one, range(200)))
        kept = sum(p.stat().st_size for p in (data.root / "received").rglob("*") if p.is_file())
        with store.read() as connection:
            rows = crashes.newest(connection).total
        left = len(list(data.incoming.iterdir()))
    print(
        f"200 at once, {cut} cut off and resumed: {kept} of {sent} bytes kept, {rows} of 4000"
        f" crashes stored, {left} left over"
    )


BENCHES: dict[str, Callable[[Path], None]] = {
    "poison": bench_poison,
    "intake": bench_intake,
    "pages": bench_pages,
    "overhead": bench_overhead,
    "kill": bench_kill,
    "uploads": bench_uploads,
}


def main() -> None:
    for name in sys.argv[1:] or BENCHES:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="kautopsy-bench-") as folder:
            BENCHES[name](Path(folder))


if __name__ == "__main__":
    main()
