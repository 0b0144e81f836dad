"""Take in what appears in a directory, as it becomes whole, and analyse it.

A file is read when it has not changed for --settle seconds; vmcore-incomplete and the like are
waited for. Runs until it is stopped; whatever is cut off is done again at the next start.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from kautopsy.cli._store import add_engine, add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode, KautopsyError, UnreadableError

_REFRESH_SECONDS = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--settle", type=float, metavar="SECONDS", help="(5)")
    add_store(parser)
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Watch."""
    settings = settings_of(arguments)
    from kautopsy.fleet.engine.run import Coordinator
    from kautopsy.fleet.intake.ingest import Ingest
    from kautopsy.fleet.intake.origin import host_of
    from kautopsy.fleet.intake.watch import settled
    from kautopsy.fleet.upkeep import refresh
    from kautopsy.report.escape import one_line

    if not arguments.folder.is_dir():
        raise UnreadableError("is no directory", thing=str(arguments.folder), slug="no-such-file")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(line: str) -> None:
        print(one_line(line), file=sys.stderr, flush=True)

    database, data = open_store(settings)
    trouble: list[KautopsyError] = []

    def analyse() -> None:
        coordinator = Coordinator(
            database,
            data,
            settings,
            on_done=lambda job, answer: say(f"{job.name}: {answer.outcome} {answer.detail}"),
        )
        try:
            coordinator.run(stop=stop, forever=True)
        except KautopsyError as error:
            trouble.append(error)
            stop.set()

    def tidy() -> None:
        while not stop.wait(_REFRESH_SECONDS):
            refresh(database)

    threads = [threading.Thread(target=analyse), threading.Thread(target=tidy)]
    with database:
        for thread in threads:
            thread.start()
        try:
            say(f"watching {arguments.folder}, writing to {database.url}")
            for path in settled(arguments.folder, settle=settings.settle, stop=stop):
                ingest = Ingest(database)
                try:
                    ingest.file(path, host=host_of(path, arguments.folder))
                except (KautopsyError, OSError) as error:
                    say(f"{path}: {error}")
                    continue
                tally = ingest.tally
                for skipped, why in tally.skipped:
                    say(f"{skipped}: skipped: {why}")
                if tally.files > tally.unchanged:
                    say(f"{path}: {tally.new_crashes} new crashes, {tally.dumps} dumps queued")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    if trouble:
        raise trouble[0]
    return ExitCode.OK
