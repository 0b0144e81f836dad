"""What deploys it, run for real: the batch script on its own cluster, a worker started over SSH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fleet import dask_cluster, poison
from tests.fleet.samples import console
from tests.host import sshd

from kautopsy.fleet.database import Database
from kautopsy.fleet.queries import hosts, work

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BATCH = ROOT / "deploy/slurm/fleet.sbatch"
SECONDS = 300


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH, in which ``kautopsy`` and ``python3`` are ours."""
    folder = tmp_path / "bin"
    folder.mkdir()
    _program(folder / "kautopsy", f'exec {sys.executable} -m kautopsy "$@"')
    _program(folder / "python3", f'exec {sys.executable} "$@"')
    return folder


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_batch_script_is_a_clean_shell_script() -> None:
    done = subprocess.run(
        ["shellcheck", str(BATCH)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_the_batch_script_starts_a_cluster_uses_it_and_leaves_nothing(
    tools: Path, tmp_path: Path
) -> None:
    # Slurm itself is not here: srun runs a task on this machine, as it would with one node.
    _program(tools / "srun", f'echo "$$" > {tmp_path}/worker.pid; exec "$@"')
    _program(tools / "hostname", "echo 127.0.0.1")
    folder = tmp_path / "crash"
    (folder / "web01").mkdir(parents=True)
    (folder / "web01" / "console.log").write_text(console(1))
    (folder / "web01" / "vmcore").write_bytes(b"KDUMP   " + bytes(5000))
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "KAUTOPSY_FLEET_DATA": str(tmp_path / "data"),
        "KAUTOPSY_DASK_PORT": str(sshd.free_port()),
    }
    done = subprocess.run(
        ["sh", str(BATCH), str(folder)],
        env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 crashes, 1 new;" in done.stdout and "1 dumps queued" in done.stdout, done.stdout
    worker = int((tmp_path / "worker.pid").read_text())
    with Database.open(str(tmp_path / "data" / "fleet.sqlite")) as store, store.read() as reading:
        assert [(host.name, host.crashes) for host in hosts.listed(reading).hosts] == [("web01", 1)]
        (job,) = work.jobs(reading)
        assert (job.state, job.outcome) == ("done", "unreadable")
    with pytest.raises(ProcessLookupError):
        _still_there(worker)
    assert subprocess.run(["sh", str(BATCH)], capture_output=True, check=False).returncode == 2


def _still_there(pid: int) -> None:
    for _ in range(100):
        os.kill(pid, 0)
        subprocess.run(["sleep", "0.1"], check=True)


@pytest.mark.skipif(sshd.SSHD is None, reason="no sshd here (Debian: openssh-server)")
def test_a_worker_that_ssh_starts_analyses(tmp_path: Path, tools: Path) -> None:
    """As docs/fleet.md has it: a scheduler, and ``ssh HOST kautopsy fleet worker`` on each host."""
    dumps = poison.dumps(tmp_path / "dumps", 4, poison={2: "kill"})
    keys = tmp_path / "sshd"
    keys.mkdir()
    with (
        sshd.serve(keys) as server,
        dask_cluster.cluster(0) as cluster,
        Database.open(str(tmp_path / "fleet.sqlite")) as store,
    ):
        options = [word for option in server.options for word in ("-o", option)]
        worker = subprocess.Popen(
            ["ssh", "-tt", *options, server.name, str(tools / "kautopsy"), "fleet", "worker",
             cluster.address, "--threads", "2", "--name", "over-ssh"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            dask_cluster.wait_for(cluster.address, 1, 2)
            poison.analyse(store, dumps, data=tmp_path / "data", scheduler=cluster.address)
        finally:
            worker.terminate()
            worker.wait(30)
        assert poison.outcomes(store) == {
            "ok-0": "ok", "ok-1": "ok", "kill-2": "signal", "ok-3": "ok",
        }  # fmt: skip
        assert poison.crashes(store) == [1000.0, 1001.0, 1003.0]
