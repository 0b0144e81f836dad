"""The fire drill: panic a machine and check everything that must follow.

HOST is examined, a nonce is written to its log, its console is recorded, it is panicked --via its
BMC, its hypervisor or ssh, and its dump is waited for, fetched, verified, analysed and searched for
the nonce. --crash must name HOST as it calls itself (uname -n); without it, what would be done is
printed. lab:NAME needs no --crash: it is ours.

Without HOST a guest of the lab is drilled: it boots a real distribution kernel, kdump is armed in
it, and all the rest happens to it; with --via ipmi or redfish it is a whole Debian with a BMC,
which is armed first.

Every stage says what it saw; one that fails says why and what to do, and ends the drill with exit
code 1. The record is kept in $XDG_STATE_HOME/kautopsy/drills, and on the machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._guest_options import add_guest, positive
from kautopsy.cli._machine_options import add_machine, reach_server, the_machine
from kautopsy.cli._output import Progress, add_json, print_json, say
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.cli.collect import dump_level
from kautopsy.cli.trigger import WAYS, add_firing, show_event, tee_console
from kautopsy.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kautopsy.drill.guest import Outcome
    from kautopsy.host.inventory import Machine

_WHOLE_MACHINE = "lab:debian12"
_REBOOT_SECONDS = 300.0
# What only goes with HOST, and only without; and what it is where nobody asked for it.
_WITH_HOST: dict[str, object] = {
    "crash": None,
    "even_if_not_ready": False,
    "again": False,
    "repeat": 0,
    "patience": 1.0,
    "show_console": False,
    "strip": None,
    "inventory": None,
    "jump": None,
    "ssh_option": [],
}
_WITHOUT_HOST: dict[str, object] = {
    "kernel": "6.1",
    "memory": 1024,
    "cpus": 2,
    "crashkernel": "256M",
    "target_size": 8192,
    "debuginfo": False,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_machine(parser, optional=True)
    parser.add_argument("--via", choices=WAYS, default="sysrq", help="the way (sysrq)")
    parser.add_argument("--crash", metavar="NODENAME", help="what HOST calls itself")
    add_firing(parser)
    parser.add_argument(
        "--strip",
        type=dump_level,
        metavar="LEVEL",
        help="filter on HOST first, with makedumpfile -d LEVEL",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the dump goes (beside the record)"
    )
    guest = parser.add_argument_group("without HOST, of the guest")
    add_guest(guest)
    guest.add_argument(
        "--target-size",
        type=positive,
        default=8192,
        metavar="MIB",
        help="of the disk that it saves to",
    )
    guest.add_argument(
        "--debuginfo",
        action="store_true",
        help="fetch the kernel's debuginfo (350 MB), for source lines and inline frames",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drill."""
    clean_up_on_sigterm()
    guest = arguments.host is None and arguments.via in ("sysrq", "qmp")
    for option, default in (_WITH_HOST if guest else _WITHOUT_HOST).items():
        if getattr(arguments, option) != default:
            raise UsageError(
                f"--{option.replace('_', '-')} goes {'with' if guest else 'without'} HOST",
                thing=arguments.host or "the lab's guest",
            )
    if guest:
        return _tell(_guest(arguments), arguments, ExitCode.BAD)
    ours = arguments.host is None
    if ours:
        arguments.host = _WHOLE_MACHINE
    with the_machine(arguments) as machine:
        if ours:
            from kautopsy.drill.practice import make_ready

            make_ready(machine, say, patience=_REBOOT_SECONDS * arguments.patience)
        return _machine(arguments, machine)


def _machine(arguments: argparse.Namespace, machine: Machine) -> int:
    from kautopsy.cli._transfer import Transfer
    from kautopsy.drill.firing import Asked, trigger
    from kautopsy.drill.rack import RackDrill
    from kautopsy.drill.session import Limits, Session

    quiet = bool(arguments.json)
    crash = arguments.crash
    if crash is None and arguments.host.startswith("lab:"):
        crash = machine.nodename
    asked = Asked(
        via=arguments.via,
        crash=crash,
        even_if_not_ready=arguments.even_if_not_ready,
        again=arguments.again,
        repeat=arguments.repeat,
    )
    with Session(
        machine,
        limits=Limits().times(arguments.patience),
        on_event=show_event,
        tee=tee_console if arguments.show_console and not quiet else None,
    ) as session:
        if crash is None:
            document = trigger(session, asked)
            for note in document.notes:
                say(note)
            return ExitCode.REFUSED if document.refused else ExitCode.OK
        drill = RackDrill(
            session,
            asked,
            crash,
            out=arguments.out,
            tell=say,
            on_file=Transfer(quiet=quiet),
            strip=arguments.strip,
            reach=reach_server(arguments, machine),
        )
        outcome = drill.walk(Progress)
        return _tell(outcome, arguments, drill.exit_code)


def _guest(arguments: argparse.Namespace) -> Outcome:
    from kautopsy.drill.guest import GuestDrill
    from kautopsy.lab.config import GuestConfig
    from kautopsy.lab.guest import Way
    from kautopsy.lab.kernels import GuestKernel

    def config(kernel: GuestKernel) -> GuestConfig:
        return GuestConfig(
            kernel,
            memory_mib=arguments.memory,
            cpus=arguments.cpus,
            crashkernel=arguments.crashkernel,
            sink_mib=arguments.target_size,
        )

    return GuestDrill(
        arguments.kernel,
        way=Way.NMI if arguments.via == "qmp" else Way.SYSRQ,
        config=config,
        debuginfo=arguments.debuginfo,
        out=arguments.out,
    ).walk(Progress)


def _tell(outcome: Outcome, arguments: argparse.Namespace, failure: ExitCode) -> int:
    """Print the record or the report; the exit code."""
    from kautopsy.report.escape import one_line
    from kautopsy.report.terminal import print_report

    record = outcome.record
    if arguments.json:
        print_json(record)
    elif record.report is not None:
        print()
        print_report(record.report)
    if outcome.failed is None:
        return ExitCode.OK
    failed = outcome.failed
    left = f"; the machine is {record.state}" if record.state else ""
    print(
        one_line(f"the drill failed at stage “{failed.name}”: {failed.detail}{left}"),
        file=sys.stderr,
    )
    return failure if failure is not ExitCode.OK else ExitCode.BAD
