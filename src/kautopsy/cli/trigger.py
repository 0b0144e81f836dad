"""Panic one machine on purpose, so that it leaves a dump.

HOST's BMC, hypervisor or ssh is told to, its console is recorded and watched, and it is said what
became of it. Nothing is done unless --crash names the machine as it calls itself (uname -n);
without it, what would be done is printed, and exit code 5 says that it would be refused. --explain
lists every way, and whether its kernel would obey.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._machine_options import add_machine, the_machine
from kautopsy.cli._output import add_json, print_json, say
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.model.trigger import ConsoleEvent

# As kautopsy.trigger.ways.NAMES; that one would be imported for --help. A test compares them.
WAYS = (
    *("sysrq", "break", "ipmi", "ipmitool", "redfish", "qmp", "libvirt"),
    *("aws", "gcloud", "az", "openstack"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_machine(parser)
    parser.add_argument("--via", choices=WAYS, default="sysrq", help="the way (sysrq)")
    parser.add_argument(
        "--crash", metavar="NODENAME", help="do it, to the machine that calls itself so"
    )
    parser.add_argument("--explain", action="store_true", help="which ways there are")
    add_firing(parser)
    parser.add_argument(
        "--no-watch", action="store_true", help="end as soon as the panic is confirmed"
    )
    parser.add_argument(
        "--console-dir", type=Path, metavar="DIR", help="where the console is recorded"
    )
    add_json(parser)


def add_firing(parser: argparse.ArgumentParser) -> None:
    """Add what ``drill`` asks for too."""
    parser.add_argument(
        "--even-if-not-ready",
        action="store_true",
        help="also where doctor says that no dump will come, or the kernel would not obey",
    )
    parser.add_argument(
        "--again", action="store_true", help="also where it was triggered a moment ago"
    )
    parser.add_argument(
        "--repeat", type=int, default=0, metavar="N", help="a trigger that was surely lost"
    )
    parser.add_argument(
        "--patience", type=float, default=1.0, metavar="FACTOR", help="on all time limits (1)"
    )
    parser.add_argument("--show-console", action="store_true", help="print the console as it comes")


def run(arguments: argparse.Namespace) -> int:
    """Trigger, or say what would be done."""
    from kautopsy.drill.firing import Asked, explain_ways, trigger
    from kautopsy.drill.session import Limits, Session
    from kautopsy.report.trigger import print_ways

    clean_up_on_sigterm()
    quiet = bool(arguments.json)
    with (
        the_machine(arguments) as machine,
        Session(
            machine,
            limits=Limits().times(arguments.patience),
            on_event=None if quiet else show_event,
            tee=tee_console if arguments.show_console and not quiet else None,
        ) as session,
    ):
        if arguments.explain:
            document = explain_ways(session)
            print_json(document) if quiet else print_ways(document)
            return ExitCode.OK
        asked = Asked(
            arguments.via,
            arguments.crash,
            arguments.even_if_not_ready,
            arguments.again,
            arguments.repeat,
            not arguments.no_watch,
        )
        folder = arguments.console_dir or _folder(arguments.crash)
        try:
            document = trigger(
                session, asked, folder=folder, tell=(lambda line: None) if quiet else say
            )
        except (KeyboardInterrupt, SystemExit):
            say(f"interrupted: {machine.name} is {session.state}")
            session.finish(f"interrupted: {session.state}")
            raise
    if quiet:
        print_json(document)
    else:
        for note in document.notes:
            say(note)
    if document.fired:
        return ExitCode.OK if document.confirmed else ExitCode.BAD
    return ExitCode.REFUSED if document.refused else ExitCode.OK


def show_event(event: ConsoleEvent) -> None:
    """On stderr, as it comes."""
    from kautopsy.report.trigger import event_line

    # A stage's own line may stand there, not yet ended.
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(start + event_line(event), file=sys.stderr, flush=True)


def tee_console(data: bytes) -> None:
    """What the console says, without what could steer a terminal."""
    from kautopsy.report.escape import terminal

    text = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    sys.stderr.write("\n".join(terminal(line) for line in text.split("\n")))
    sys.stderr.flush()


def _folder(crash: str | None) -> Path | None:
    from kautopsy.trigger.records import triggers_folder

    if crash is None:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in crash)
    return triggers_folder() / "consoles" / f"{stamp}-{safe}"
