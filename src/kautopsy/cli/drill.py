"""The fire drill: panic a machine and check everything that must follow.

A guest of the lab boots a real distribution kernel, kdump is armed in it, a nonce is written to its
log, it is panicked, its capture kernel saves a dump, and the dump is verified, analysed and
searched for the nonce. Every stage says what it saw; one that fails says why and what to do, and
ends the drill with exit code 1. The record is kept in $XDG_STATE_HOME/kautopsy/drills.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kautopsy.cli._guest_options import add_guest, positive
from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.cli._signals import clean_up_on_sigterm
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_guest(parser)
    parser.add_argument(
        "--via", choices=("sysrq", "qmp"), default="sysrq", help="qmp: an NMI from the hypervisor"
    )
    parser.add_argument(
        "--target-size",
        type=positive,
        default=8192,
        metavar="MIB",
        help="of the disk that it saves to",
    )
    parser.add_argument(
        "--debuginfo",
        action="store_true",
        help="fetch the kernel's debuginfo (350 MB), for source lines and inline frames",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the dump and the console's log go"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Drill."""
    from kautopsy.drill.guest import GuestDrill
    from kautopsy.lab.config import GuestConfig
    from kautopsy.lab.guest import Way
    from kautopsy.lab.kernels import GuestKernel
    from kautopsy.report.escape import one_line
    from kautopsy.report.terminal import print_report

    clean_up_on_sigterm()

    def config(kernel: GuestKernel) -> GuestConfig:
        return GuestConfig(
            kernel,
            memory_mib=arguments.memory,
            cpus=arguments.cpus,
            crashkernel=arguments.crashkernel,
            sink_mib=arguments.target_size,
        )

    drill = GuestDrill(
        arguments.kernel,
        way=Way.NMI if arguments.via == "qmp" else Way.SYSRQ,
        config=config,
        debuginfo=arguments.debuginfo,
        out=arguments.out,
    )
    outcome = drill.walk(Progress)
    if arguments.json:
        print_json(outcome.record)
    elif outcome.record.report is not None:
        print()
        print_report(outcome.record.report)
    if outcome.failed is not None:
        failed = outcome.failed
        print(
            one_line(f"the drill failed at stage “{failed.name}”: {failed.detail}"),
            file=sys.stderr,
        )
        return ExitCode.BAD
    return ExitCode.OK
