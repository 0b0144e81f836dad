"""Verbs of verbs: ``kautopsy symbols find`` is ``cli/_symbols_find.py``.

A module ``_GROUP_NAME.py`` has the two functions of a verb; underscores in NAME become dashes.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil

from kautopsy import cli


def configure_group(parser: argparse.ArgumentParser, group: str) -> None:
    """Give ``parser`` a subcommand for every module ``cli/_{group}_*.py``."""
    subparsers = parser.add_subparsers(dest=f"{group}_verb", metavar="WHAT", required=True)
    prefix = f"_{group}_"
    names = sorted(m.name for m in pkgutil.iter_modules(cli.__path__))
    for name in names:
        if not name.startswith(prefix):
            continue
        module = importlib.import_module(f"kautopsy.cli.{name}")
        text = (module.__doc__ or "").strip()
        sub = subparsers.add_parser(
            name.removeprefix(prefix).replace("_", "-"),
            help=text.split("\n", 1)[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.configure(sub)
        sub.set_defaults(run_in_group=module.run)


def run_group(arguments: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    return int(arguments.run_in_group(arguments))
