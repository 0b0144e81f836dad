"""Bring a machine's dumps home: found, verified, fetched.

The newest dump is looked for where the machine's own configuration and its distribution put it,
fetched so that a broken connection costs nothing (the same command goes on where it broke off),
checked against its own headers, its producer's words and its log, and kept in DIR/HOST/FOLDER.
Where there is no dump, what else tells of the crash is shown. Exit code 0: what came is whole.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._machine_options import (
    add_machine,
    open_machine,
    reach_server,
    the_machine,
)
from kautopsy.cli._output import add_json, print_json
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.host.host import Host
    from kautopsy.host.inventory import Machine


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_machine(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("dumps"), metavar="DIR", help="at home (dumps)"
    )
    parser.add_argument("--list", action="store_true", help="only show what is there")
    parser.add_argument("--all", action="store_true", help="all of them, not only the newest")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="look in this folder of the machine too; repeatable",
    )
    parser.add_argument(
        "--strip",
        type=dump_level,
        metavar="LEVEL",
        help="filter on the machine first, with makedumpfile -d LEVEL (31 leaves least)",
    )
    parser.add_argument(
        "--compress",
        choices=("auto", "always", "never"),
        default="auto",
        help="on the way; auto: what is not compressed yet",
    )
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="for a dump that is being saved"
    )
    parser.add_argument(
        "--tries", type=int, default=5, metavar="N", help="to take up a broken connection (5)"
    )
    parser.add_argument(
        "--no-analysis",
        action="store_true",
        help="do not read the dump at home: its log is then only what was saved beside it",
    )
    parser.add_argument("--report", action="store_true", help="print the report on what came")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Collect."""
    clean_up_on_sigterm()
    with the_machine(arguments) as machine, open_machine(machine) as host:
        return _collect(arguments, machine, host)


def _collect(arguments: argparse.Namespace, machine: Machine, host: Host) -> int:
    from kautopsy.cli._transfer import Transfer
    from kautopsy.drill.collecting import Wishes, collect, look_everywhere
    from kautopsy.drill.witnesses import witnesses
    from kautopsy.model.capture import CollectDocument
    from kautopsy.report.collect import print_collected, print_found
    from kautopsy.report.terminal import print_report

    wishes = Wishes(
        out=arguments.out,
        every=arguments.all,
        strip=arguments.strip,
        squeeze={"always": True, "never": False}.get(arguments.compress),
        analyse=not arguments.no_analysis,
        wait=arguments.wait,
        more=(*machine.dumps, *arguments.path),
        tries=max(1, arguments.tries),
    )
    reach = reach_server(arguments, machine)
    if arguments.list:
        found, notes = look_everywhere(host, wishes.more, reach)
        document = CollectDocument(host=machine.name, found=found, notes=notes)
        print_json(document) if arguments.json else print_found(document)
        return ExitCode.OK if found else ExitCode.BAD
    harvest = collect(
        host,
        machine.name,
        wishes,
        on_file=Transfer(quiet=arguments.json),
        witnesses=partial(witnesses, machine),
        reach=reach,
    )
    if arguments.json:
        print_json(harvest.document)
    else:
        print_collected(harvest.document)
        for report in harvest.reports.values() if arguments.report else ():
            print()
            print_report(report)
    return ExitCode.OK if harvest.good else ExitCode.BAD


def dump_level(text: str) -> int:
    """A level of makedumpfile's, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > 31:
        raise argparse.ArgumentTypeError(f"{text!r} is no dump level: 0 to 31")
    return int(text)
