"""Dask: workers of our own on this machine, or a scheduler's. The same code runs on both."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kautopsy.model.errors import UnreachableError

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 15


@contextmanager
def cluster(scheduler: str, workers: int) -> Iterator[Client]:
    """A client of ``scheduler`` (``tcp://host:8786``), or of a cluster in this process.

    :param workers: dumps analysed at a time in this process; 0: one a CPU. The threads of it only
        wait for the children that do the work.
    :raises UnreachableError: nothing answers there
    """
    import dask
    from distributed import Client, LocalCluster

    # A worker does not watch memory that is not its own: the children have limits. A scheduler in
    # this process opens a web server whatever it is told: on loopback, without pages.
    dask.config.set(
        {"distributed.scheduler.allowed-failures": 3, "distributed.scheduler.http.routes": []}
    )
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        try:
            client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise UnreachableError(
                "no Dask scheduler answers there",
                thing=scheduler,
                hint="dask scheduler --host ADDRESS; kautopsy fleet worker tcp://ADDRESS:8786",
                slug="no-scheduler",
            ) from error
        except ValueError as error:
            raise UnreachableError(
                f"is no address of a scheduler: {error}", thing=scheduler, slug="no-scheduler"
            ) from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=workers or os.cpu_count() or 1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


def threads(client: Client) -> int:
    """How many dumps the cluster can analyse at a time now."""
    with contextlib.suppress(OSError, TimeoutError):
        return sum(client.nthreads().values())
    return 0
