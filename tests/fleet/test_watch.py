"""``fleet watch`` as a process: files that grow, SIGTERM, SIGKILL; nothing lost, nothing twice."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.fleet.samples import console

from kautopsy.fleet import schema
from kautopsy.fleet.database import Database
from kautopsy.fleet.queries import hosts

pytestmark = pytest.mark.slow

SECONDS = 120


class Watch:
    """A running ``kautopsy fleet watch``, and what it says."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.said = place / f"said-{time.monotonic_ns()}"
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kautopsy", "fleet", "watch", str(folder), "--settle", "1",
                 "--data", str(place / "data"), "--workers", "1"],
                stderr=out, stdout=out, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def wait_for(self, words: str) -> str:
        """Until it says so: all that it has said."""
        wait_until(lambda: re.search(words, self.text) is not None or not self.alive, words)
        assert re.search(words, self.text), self.text
        return self.text

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def text(self) -> str:
        return self.said.read_text()


def wait_until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "crash"
    found.mkdir()
    return found


@contextmanager
def watching(folder: Path, place: Path) -> Iterator[Watch]:
    watch = Watch(folder, place)
    try:
        watch.wait_for("watching")
        yield watch
    finally:
        watch.process.kill()
        watch.process.wait()


def by_host(place: Path) -> dict[str, int]:
    with Database.open(str(place / "data" / "fleet.sqlite")) as store, store.read() as connection:
        return {one.name: one.crashes for one in hosts.listed(connection, limit=1000).hosts}


def log_of(folder: Path, host: str) -> Path:
    (folder / host).mkdir(exist_ok=True)
    return folder / host / "console.log"


def test_files_are_read_when_they_are_whole_and_sigterm_ends_it(
    folder: Path, tmp_path: Path
) -> None:
    log_of(folder, "before").write_text(console(1))
    with watching(folder, tmp_path) as watch:
        watch.wait_for(r"before/console.log: 1 new crashes")
        # Two crashes, written by a slow hand: longer in all than it takes to settle.
        slow = log_of(folder, "slow")
        text = console(2) + console(3, function="other_fault")
        step = len(text) // 10
        with slow.open("w") as out:
            for start in range(0, len(text), step):
                out.write(text[start : start + step])
                out.flush()
                time.sleep(0.3)
        # kdump's name for what is not done; then a rename, which changes no byte.
        (folder / "dumped").mkdir()
        unfinished = folder / "dumped" / "vmcore-incomplete"
        unfinished.write_bytes(b"KDUMP   " + bytes(5000))
        text = watch.wait_for(r"slow/console.log: \d+ new crashes")
        assert re.findall(r"slow/console.log: (\d+) new", text) == ["2"]
        time.sleep(2.5)
        assert "dumped" not in watch.text
        unfinished.rename(folder / "dumped" / "vmcore")
        watch.wait_for(r"dumped/vmcore: 0 new crashes, 1 dumps queued")
        # The engine of the same process: the dump is none, and that is its outcome.
        watch.wait_for(r"vmcore: unreadable")
        # A log that grows is read again, and only what is new is new.
        with slow.open("a") as out:
            out.write(console(4, function="third_fault"))
        wait_until(lambda: watch.text.count("slow/console.log") == 2, "the grown log")
        assert re.findall(r"slow/console.log: (\d+) new", watch.text) == ["2", "1"]
        watch.process.send_signal(signal.SIGTERM)
        assert watch.process.wait(SECONDS) == 0
        assert "Traceback" not in watch.text
    assert by_host(tmp_path) == {"before": 1, "slow": 3}


def test_killed_again_and_again_it_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    rng = random.Random(9)
    count = 0
    for _ in range(4):
        with watching(folder, tmp_path) as watch:
            end = time.monotonic() + rng.uniform(1.0, 4.0)
            while time.monotonic() < end:
                count += 1
                text = "".join(console(100 * count + n) for n in range(3))
                log_of(folder, f"web{count:03}").write_text(text)
                time.sleep(0.1)
            watch.process.send_signal(signal.SIGKILL)
            watch.process.wait()
    with watching(folder, tmp_path) as watch:
        wait_until(lambda: len(by_host(tmp_path)) == count, "all hosts")
        wait_until(lambda: _done(tmp_path) == count, "all files")
        watch.process.send_signal(signal.SIGTERM)
        assert watch.process.wait(SECONDS) == 0
    assert by_host(tmp_path) == {f"web{number:03}": 3 for number in range(1, count + 1)}


def _done(place: Path) -> int:
    with Database.open(str(place / "data" / "fleet.sqlite")) as store, store.read() as connection:
        source = schema.source
        return (
            connection.scalar(
                select(func.count()).select_from(source).where(source.c.state == "done")
            )
            or 0
        )
