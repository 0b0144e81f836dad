"""Arguments of the verbs that boot a guest."""

from __future__ import annotations

import argparse


def add_guest(parser: argparse._ActionsContainer) -> None:
    """Add ``--kernel``, ``--memory``, ``--cpus`` and ``--crashkernel``."""
    parser.add_argument("--kernel", default="6.1", metavar="V", help="5.10, 6.1, 6.12 or 7.2")
    parser.add_argument(
        "--memory", type=positive, default=1024, metavar="MIB", help="of the guest (1024)"
    )
    parser.add_argument("--cpus", type=positive, default=2, metavar="N", help="of the guest (2)")
    parser.add_argument(
        "--crashkernel",
        default="256M",
        metavar="SIZE",
        help="memory for the capture kernel (256M); '' reserves none",
    )


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
