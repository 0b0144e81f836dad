"""Where names, types and lines come from: kits, debuginfo, source lines."""

from __future__ import annotations

import argparse

from kautopsy.cli._group import configure_group, run_group


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    configure_group(parser, "symbols")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    return run_group(arguments)
