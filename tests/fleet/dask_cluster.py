"""A Dask cluster of several processes on loopback: a scheduler, and workers as users start them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SECONDS = 90


@dataclass
class Cluster:
    """``address`` of the scheduler, and the processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def processor_time(self) -> float:
        """Seconds that the scheduler, the workers and this process have computed, no children."""
        found = time.process_time()
        for process in (self.scheduler, *self.workers):
            # Fields 14 and 15 of /proc/PID/stat, in ticks.
            stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            found += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def kill_worker(self, number: int) -> None:
        self.workers[number].send_signal(signal.SIGKILL)
        self.workers[number].wait()


@contextmanager
def cluster(
    workers: int, *, threads: int = 1, environment: dict[str, str] | None = None
) -> Iterator[Cluster]:
    """A scheduler and so many worker processes."""
    env = {**os.environ, **(environment or {})}
    with (
        tempfile.TemporaryDirectory(prefix="kautopsy-dask-") as folder,
        contextlib.ExitStack() as stack,
    ):
        scheduler = _start(
            stack,
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
             "--scheduler-file", f"{folder}/scheduler.json"],
            Path(folder, "scheduler.log"), env,
        )  # fmt: skip
        address = _address(Path(folder, "scheduler.json"), scheduler)
        found = Cluster(address, scheduler)
        for number in range(workers):
            argv = [
                sys.executable, "-m", "kautopsy", "fleet", "worker", address,
                "--threads", str(threads), "--name", f"w{number}",
            ]  # fmt: skip
            found.workers.append(_start(stack, argv, Path(folder, f"w{number}.log"), env))
        wait_for(address, workers, threads)
        yield found


def _start(
    stack: contextlib.ExitStack, argv: list[str], log: Path, env: dict[str, str]
) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, env=env, stdin=subprocess.DEVNULL)

    def end() -> None:
        process.kill()
        process.wait()

    stack.callback(end)
    return process


def _address(file: Path, scheduler: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            match = re.search(r'"address": "(tcp://[^"]+)"', file.read_text())
            if match is not None:
                return match[1]
        assert scheduler.poll() is None, "the scheduler ended"
        time.sleep(0.1)
    raise AssertionError("no scheduler")


def wait_for(address: str, workers: int, threads: int) -> None:
    """Wait until so many workers are there."""
    if not workers:
        return
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=_SECONDS)
        assert sum(client.nthreads().values()) == workers * threads
