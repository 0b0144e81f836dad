"""The server as a process: the application, the engine beside it, notices, upkeep."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from kautopsy.fleet.database import Database
from kautopsy.fleet.files import DataFolder
from kautopsy.fleet.settings import Settings
from kautopsy.model.errors import KautopsyError
from kautopsy.web.app import create_app
from kautopsy.web.config import WebConfig
from kautopsy.web.metrics import JsonLines, TextLines
from kautopsy.web.notify import Notifier

_LOG = logging.getLogger("kautopsy.web")
_UPKEEP_SECONDS = 60.0
_RETENTION_EVERY = 10
_SHUTDOWN_SECONDS = 10


def serve(config: WebConfig, settings: Settings, *, engine: bool = True) -> None:
    """Serve until a signal ends it.

    :param engine: analyse queued dumps in this process's Dask too
    :raises UsageError: the store cannot be opened
    """
    _log_to_stderr(config)
    data = DataFolder(settings.data_folder)
    with Database.open(settings.database_url) as database:
        app = create_app(database, config, data=data, settings=settings)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=config.listen,
                port=config.port,
                log_config=None,
                access_log=False,
                # Addresses behind a proxy are read by the application, which knows whom to trust.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        with _beside(database, data, config, settings, engine=engine):
            server.run()


@contextlib.contextmanager
def _beside(
    database: Database, data: DataFolder, config: WebConfig, settings: Settings, *, engine: bool
) -> Iterator[None]:
    """Threads that work while the server serves."""
    stop = threading.Event()
    works: list[tuple[str, Callable[[], None]]] = [
        ("notices", lambda: Notifier(database, config).run(stop)),
        ("upkeep", lambda: _upkeep(database, data, settings, stop)),
    ]
    if engine:
        works.append(("engine", lambda: _analyse(database, data, settings, stop)))
    threads = [threading.Thread(target=work, name=name) for name, work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(_SHUTDOWN_SECONDS)


def _analyse(
    database: Database, data: DataFolder, settings: Settings, stop: threading.Event
) -> None:
    from kautopsy.fleet.engine.run import Coordinator

    while not stop.is_set():
        try:
            Coordinator(database, data, settings).run(stop=stop, forever=True)
        except KautopsyError as error:
            _LOG.error("the engine stopped: %s", error)
        except Exception:  # a store that is away comes back; the pages must go on meanwhile
            _LOG.exception("the engine stopped")
        stop.wait(30.0)


def _upkeep(
    database: Database, data: DataFolder, settings: Settings, stop: threading.Event
) -> None:
    """What groups follow and look like, boots that ended; now and then retention, stale uploads."""
    from kautopsy.fleet import upkeep
    from kautopsy.fleet.intake.retention import retain
    from kautopsy.fleet.intake.upload import Uploads

    for number in itertools.count():
        try:
            upkeep.refresh(database)
            if number % _RETENTION_EVERY == 0:
                retain(database, data, settings)
                Uploads(database, data, settings).expire(settings.upload_expires)
        except Exception:  # as above
            _LOG.exception("upkeep failed")
        if stop.wait(_UPKEEP_SECONDS):
            return


def _log_to_stderr(config: WebConfig) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOG.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
