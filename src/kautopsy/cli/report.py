"""What died and why: the report on a vmcore.

Opens the dump in a child process with limits, finds what debugging information there is, and
prints the header that crash shows, the panicking task's backtrace, the end of the kernel log and
the verdict. Without debuginfo it says what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._output import add_json, print_json
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", type=Path, metavar="DUMP", help="a vmcore")
    parser.add_argument(
        "--vmlinux",
        type=Path,
        metavar="FILE",
        help="the kernel's debuginfo; its build-id must match",
    )
    parser.add_argument(
        "--debuginfo",
        choices=("auto", "never"),
        default="auto",
        help="auto: use the vmlinux that is found on this machine; never: use the dump alone",
    )
    parser.add_argument(
        "--time-limit", type=float, default=600.0, metavar="SECONDS", help="for the analysis"
    )
    parser.add_argument(
        "--memory-limit", type=int, default=4096, metavar="MIB", help="for the analysis"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Report on one dump."""
    from kautopsy.report.terminal import ReportPrinter
    from kautopsy.triage.isolation import Limits, analyse

    printer = None if arguments.json else ReportPrinter()
    report = None
    for report in analyse(
        arguments.target,
        vmlinux=arguments.vmlinux,
        debuginfo=arguments.debuginfo == "auto",
        limits=Limits(arguments.time_limit, arguments.memory_limit << 20),
    ):
        if printer is not None:
            printer.show(report)
    assert report is not None  # analyse() raises if there is not even a first report
    if printer is None:
        print_json(report)
    else:
        printer.finish(report)
    return ExitCode.OK
