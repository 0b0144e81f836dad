"""The fleet's server under load, uploads cut off, and SIGKILL: what is counted must come out whole.

    python bench/fleet_http.py [--kills 50] [--uploads 200]

- the page of a group with 10,000 crashes, and of the ranked groups: the server's time
- 200 uploads at once, 20 of them cut off and resumed: every byte and row accounted for
- a server SIGKILLed at 50 random moments while reports and uploads come in: lost, doubled
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.fleet.samples import console, sighting  # noqa: E402

from kautopsy.fleet import changes, queries  # noqa: E402
from kautopsy.fleet.database import Database  # noqa: E402
from kautopsy.fleet.grouping.record import record  # noqa: E402
from kautopsy.fleet.nouns import GroupFilter, Role  # noqa: E402
from kautopsy.model.base import to_json  # noqa: E402
from kautopsy.oops import read_text  # noqa: E402
from kautopsy.triage.textual import report_on_crash  # noqa: E402

CRASHES = 10_000
REQUESTS = 25


class Server:
    """``kautopsy serve`` over a store in ``folder``; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = f"sqlite:///{folder / 'fleet.sqlite'}"
        with Database.open(self.store) as database, database.write() as connection:
            _, secret = changes.people.add_token(connection, name="b", role=Role.ADMIN, by="bench")
        self.headers = {"authorization": f"Bearer {secret}"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ["serve", "--no-engine", "--database", self.store, "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kautopsy", *arguments, "--data", str(self.folder)],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise SystemExit("the server does not start")

    def processor_time(self) -> float:
        """Seconds that the server has computed (fields 14 and 15 of /proc/PID/stat)."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        one = Server(Path(folder))
        one.start()
        try:
            yield one
        finally:
            one.kill(signal.SIGTERM)


def asking(one: Server) -> httpx.Client:
    """A client; without TLS, whose certificates cost more to load than most of what it asks."""
    return httpx.Client(headers=one.headers, base_url=one.url, timeout=60, verify=False)


def pages(one: Server) -> None:
    """Server time of the large group's page and of the front page."""
    with Database.open(one.store) as database:
        for start in range(0, CRASHES, 500):
            some = [
                sighting(n, host=f"web{n % 400:03}", at=1.79e9 + n * 60)
                for n in range(start, min(start + 500, CRASHES))
            ]
            with database.write() as connection:
                record(connection, some)
        with database.read() as connection:
            group = queries.groups.ranked(connection, GroupFilter(all_states=True)).groups[0]
    assert group.crashes == CRASHES
    with asking(one) as client:
        for path in (f"/groups/{group.id}", "/", f"/api/v1/groups/{group.id}", "/metrics"):
            seconds = []
            client.get(path)
            cpu = one.processor_time()
            for _ in range(REQUESTS):
                began = time.perf_counter()
                assert client.get(path).status_code == 200
                seconds.append(time.perf_counter() - began)
            cpu = (one.processor_time() - cpu) / REQUESTS
            print(
                f"{path:<24} {1000 * cpu:4.0f} ms of the server's processor time, by the clock"
                f" {1000 * statistics.median(seconds):4.0f} ms (median of {REQUESTS};"
                f" load {os.getloadavg()[0]:.1f})"
            )


def until_done(ask: Callable[[httpx.Client], httpx.Response], one: Server) -> httpx.Response:
    """Ask again while the server is away, as a host would."""
    for _ in range(3000):
        try:
            with asking(one) as client:
                answer = ask(client)
            if answer.status_code < 500 and answer.status_code not in (409, 423):
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit("the server never answered")


def send_report(one: Server, number: int) -> None:
    """A small report of a crash nobody else has."""
    (crash,) = read_text(console(number, function=f"reported_{number}"))
    body = {"report": json.loads(to_json(report_on_crash(crash))), "host": f"r{number:04}"}
    answer = until_done(lambda client: client.post("/api/v1/reports", json=body), one)
    assert answer.status_code == 200, answer.text


def send_upload(one: Server, number: int, *, cut: bool, padding: int = 0) -> int:
    """A log, in two pieces where it is cut off; how many bytes."""
    raw = console(number, function=f"uploaded_{number}").encode() + b"\n" * padding
    said = {
        "name": f"{number}.log",
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "host": f"u{number:04}",
    }
    stop = random.Random(number).randrange(1, len(raw)) if cut else len(raw)
    while True:
        announced = until_done(lambda client: client.post("/api/v1/uploads", json=said), one)
        upload = announced.json()
        if upload["state"] == "done":
            return len(raw)
        there = upload["offset"]
        piece = raw[there : max(stop, there + 1)] if there < len(raw) else b""
        stop = len(raw)
        path = f"/api/v1/uploads/{upload['id']}"
        try:
            with asking(one) as client:
                if piece:
                    client.patch(path, content=piece, headers={"upload-offset": str(there)})
                if there + len(piece) == len(raw):
                    client.post(f"{path}/finish")
        except httpx.TransportError:
            time.sleep(0.05)


def many_uploads(one: Server, count: int) -> None:
    """Uploads at once, each tenth cut off."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        sizes = list(
            pool.map(
                lambda n: send_upload(one, n, cut=n % 10 == 0, padding=(n % 7) * 100_000),
                range(count),
            )
        )
    seconds = time.perf_counter() - began
    with Database.open(one.store) as database, database.read() as connection:
        hosts = queries.hosts.listed(connection, text="u", limit=10_000).hosts
    crashes = [one.crashes for one in hosts if one.name[0] == "u" and one.name[1:].isdigit()]
    kept = sum(
        path.stat().st_size for path in (one.folder / "received").rglob("*") if path.is_file()
    )
    print(
        f"{count} uploads at once, {count // 10} cut off: {sum(crashes)} crashes of "
        f"{len(crashes)} hosts, {kept} of {sum(sizes)} bytes, {seconds:.1f} s"
    )
    assert crashes == [1] * count and kept == sum(sizes)


def killed(one: Server, kills: int) -> None:
    """SIGKILL while things come in; every one is there once afterwards."""
    count = kills * 12
    todo = iter(range(count))
    lock = threading.Lock()
    finished = threading.Event()

    def work() -> None:
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            if number % 2:
                send_report(one, number)
            else:
                send_upload(one, number, cut=number % 10 == 0)

    def all_of_it() -> None:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work) for _ in range(8)]:
                done.result()
        finished.set()

    thread = threading.Thread(target=all_of_it)
    thread.start()
    rng = random.Random(7)
    done = 0
    while done < kills and not finished.is_set():
        time.sleep(rng.uniform(0.0, 0.6))
        one.kill()
        one.start()
        done += 1
    thread.join()
    with Database.open(one.store) as database, database.read() as connection:
        found: dict[str, int] = {}
        offset = 0
        while rows := queries.hosts.listed(connection, limit=1000, offset=offset).hosts:
            found |= {row.name: row.crashes for row in rows}
            offset += 1000
    wanted = {f"{'r' if n % 2 else 'u'}{n:04}" for n in range(count)}
    lost = sum(found.get(name, 0) == 0 for name in wanted)
    doubled = sum(found.get(name, 0) > 1 for name in wanted)
    print(f"SIGKILL at {done} moments, {count} crashes sent: {lost} lost, {doubled} doubled")
    assert not lost and not doubled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--uploads", type=int, default=200)
    arguments = parser.parse_args()
    with server() as one:
        pages(one)
    with server() as one:
        many_uploads(one, arguments.uploads)
    with server() as one:
        killed(one, arguments.kills)


if __name__ == "__main__":
    main()
