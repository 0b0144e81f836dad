"""Be a worker: analyse dumps for the scheduler at ADDRESS (tcp://HOST:8786).

It needs the same paths to the dumps as the coordinator has (a shared directory), and no access to
the store. Each dump is analysed in a process of its own, with limits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from typing import NoReturn

from kautopsy.cli._store import add_store, settings_of
from kautopsy.model.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("scheduler", metavar="ADDRESS")
    parser.add_argument("--threads", type=int, metavar="N", help="dumps at a time (CPUs)")
    parser.add_argument("--name", metavar="NAME", help="as the scheduler shows it")
    add_store(parser)


def run(arguments: argparse.Namespace) -> NoReturn:
    """Work until the scheduler ends, or SIGTERM."""
    address = arguments.scheduler
    arguments.scheduler = None
    settings_of(arguments)
    if "://" not in address or (arguments.threads is not None and arguments.threads < 1):
        raise UsageError("as tcp://HOST:8786, and at least one thread", thing=address)
    command = [
        sys.executable, "-m", "distributed.cli.dask_worker", address,
        "--nthreads", str(arguments.threads or os.cpu_count() or 1),
        # The memory that counts is that of the children, and they have limits of their own.
        "--nworkers", "1", "--no-nanny", "--memory-limit", "0", "--no-dashboard",
        "--local-directory", tempfile.gettempdir(), "--death-timeout", "60",
        *(["--name", arguments.name] if arguments.name else []),
    ]  # fmt: skip
    # In this process: systemd and Slurm send their signals here.
    os.execv(command[0], command)
