"""The kernels and machines the lab knows, and what of them is in the cache."""

from __future__ import annotations

import argparse

from kautopsy.cli._output import add_json, print_json
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """List."""
    from kautopsy.lab.shelf import Shelf, look
    from kautopsy.report.units import size

    shelf: Shelf = look()
    if arguments.json:
        print_json(shelf)
        return ExitCode.OK
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in ("KERNEL", "SUITE", "RELEASE", "PACKAGE", "ON DISK", "DEBUGINFO"):
        table.add_column(column, justify="right" if column == "ON DISK" else "left")
    for kernel in shelf.kernels:
        table.add_row(
            kernel.series,
            kernel.suite,
            kernel.release or "not fetched",
            kernel.version or "",
            size(kernel.size_bytes) if kernel.release else "",
            "yes" if kernel.debuginfo else "",
        )
    machines = Table(box=None)
    for column in ("MACHINE", "SUITE", "STATE", "ON DISK"):
        machines.add_column(column, justify="right" if column == "ON DISK" else "left")
    for machine in shelf.machines:
        machines.add_row(
            machine.name,
            machine.suite,
            f"runs as lab:{machine.name}"
            if machine.running
            else ("made" if machine.made else "not made"),
            size(machine.size_bytes) if machine.made else "",
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(machines)
    console.print(f"{size(shelf.size_bytes)} in {shelf.folder}", markup=False)
    return ExitCode.OK
