"""Take back everything that `kautopsy arm --apply` did on a machine.

Every file gets its old bytes, owner and mode. One that somebody changed since is told of and left
alone, and exit code 1 says so; --force restores it too. Boot menus that were made anew since (a
kernel was installed) are made anew once more instead.
"""

from __future__ import annotations

import argparse

from kautopsy.cli._host_options import add_host, confirm, teller
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_host(parser, optional=False)
    parser.add_argument("--yes", action="store_true", help="do not ask before")
    parser.add_argument(
        "--force", action="store_true", help="restore files too that were changed since"
    )


def run(arguments: argparse.Namespace) -> int:
    """Take it back."""
    from kautopsy.arming import journal
    from kautopsy.arming.apply import disarm
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.cli._target import open_target
    from kautopsy.report.escape import one_line

    clean_up_on_sigterm()
    with open_target(arguments.host, jump=arguments.jump, options=arguments.ssh_option) as host:
        found = journal.load(host)
        if found is not None:
            for change in reversed(found.changes):
                print(one_line(f"take back: {change.what}"))
            if found.changes and not confirm("Take all this back?", yes=arguments.yes):
                return ExitCode.OK
        undone = disarm(host, teller(quiet=False), force=arguments.force)
    if undone is None:
        print(one_line(f"{arguments.host}: nothing was armed here"))
        return ExitCode.OK
    for path in dict.fromkeys(undone.restored):
        print(one_line(f"as before: {path}"))
    for command in undone.renewed:
        print(one_line(f"made anew: {command}"))
    for path in undone.changed:
        print(one_line(f"changed since, left alone: {path}"))
    for trouble in undone.failed:
        print(one_line(f"failed: {trouble}"))
    return ExitCode.OK if undone.complete else ExitCode.BAD
