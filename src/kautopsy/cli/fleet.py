"""Every crash of every machine, once: take in, analyse, group, ask who is ready.

The store is a SQLite file unless --database, KAUTOPSY_FLEET_DATABASE or the configuration names
another; docs/fleet.md tells how a fleet is run.
"""

from __future__ import annotations

import argparse

from kautopsy.cli._group import configure_group, run_group


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    configure_group(parser, "fleet")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    return run_group(arguments)
