"""Ask many hosts whether they could leave a dump, over SSH, and keep what they say.

INVENTORY is a list of hosts, an Ansible inventory (INI or YAML), or the JSON of ansible-inventory
--list. Nothing is changed on the hosts. Each is also asked how its last boots ended: one that ended
without a shutdown and without a crash that is known died silently. Exit code 0: all are ready; 1:
not all.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._output import add_json, print_json
from kautopsy.cli._store import add_store, open_store, settings_of
from kautopsy.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kautopsy.fleet.nouns import ReadinessSummary
    from kautopsy.fleet.readiness.ask import Told


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--inventory", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--jobs", type=int, default=32, metavar="N", help="hosts at a time (%(default)s)"
    )
    parser.add_argument("-J", "--jump", metavar="HOST[,HOST]", help="jump hosts, as for ssh")
    parser.add_argument(
        "-o", "--ssh-option", action="append", default=[], metavar="OPTION", help="for ssh -o"
    )
    add_store(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask all."""
    settings = settings_of(arguments)
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.fleet.queries import readiness
    from kautopsy.fleet.readiness.ask import ask_all
    from kautopsy.fleet.readiness.inventory import read_inventory
    from kautopsy.report.escape import one_line

    if arguments.jobs < 1:
        raise UsageError("at least one at a time", thing="--jobs")
    machines = read_inventory(arguments.inventory)
    clean_up_on_sigterm()
    database, _data = open_store(settings)
    stop = threading.Event()

    def said(told: Told) -> None:
        if not arguments.json:
            print(one_line(f"{told.name}: {_word(told)}"), file=sys.stderr)

    with database:
        try:
            ask_all(
                database,
                machines,
                at_a_time=arguments.jobs,
                jump=arguments.jump,
                options=arguments.ssh_option,
                on_told=said,
                stop=stop,
            )
        except BaseException:
            stop.set()
            raise
        with database.read() as connection:
            summary = readiness.summary(connection)
    if arguments.json:
        print_json(summary)
    else:
        _print(summary)
    return ExitCode.OK if summary.ready == summary.hosts else ExitCode.BAD


def _word(told: Told) -> str:
    if told.document is None:
        return f"not reached: {told.error}"
    if told.document.ready is None:
        return "nobody can tell"
    return "ready" if told.document.ready else "NOT ready"


def _print(summary: ReadinessSummary) -> None:
    from kautopsy.report.escape import one_line

    print(
        f"{summary.hosts} hosts: {summary.ready} ready, {summary.not_ready} not ready, "
        f"{summary.unknown} nobody can tell, {summary.unreached} not reached, "
        f"{summary.unasked} never asked"
    )
    print(
        f"died silently in 30 days: {summary.silent} boots of {summary.silent_hosts} hosts; "
        f"with a crash that is known: {summary.crashed}; "
        f"nobody can tell of {summary.endings_unknown}"
    )
    for reason in summary.reasons:
        if reason.status == "fail":
            print(one_line(f"{reason.hosts:6}  {reason.check}: {reason.example}"))
            if reason.fix:
                print(one_line(f"        fix: {reason.fix}"))
