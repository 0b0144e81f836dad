"""What verbs that go to a machine have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from kautopsy.model.errors import UsageError
from kautopsy.report.escape import one_line


def add_host(parser: argparse.ArgumentParser, *, optional: bool) -> None:
    """Add HOST and the options of its connection."""
    if optional:
        parser.add_argument(
            "host",
            nargs="?",
            default="local",
            metavar="HOST",
            help="local, [user@]host, tree:DIR or lab:NAME",
        )
    else:
        parser.add_argument("host", metavar="HOST", help="local, [user@]host, tree:DIR or lab:NAME")
    parser.add_argument("-J", "--jump", metavar="HOST[,HOST]", help="jump hosts, as for ssh")
    parser.add_argument(
        "-o",
        "--ssh-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="for ssh -o, as Port=2222; repeatable",
    )


def teller(*, quiet: bool) -> Callable[[str], None]:
    """What tells the user of each step, on stderr."""

    def tell(words: str) -> None:
        if not quiet:
            print(one_line(f"· {words}"), file=sys.stderr, flush=True)

    return tell


def confirm(question: str, *, yes: bool) -> bool:
    """Whether the user agrees.

    :raises UsageError: there is nobody to ask
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("needs an answer, and there is no terminal to ask on", hint="--yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
