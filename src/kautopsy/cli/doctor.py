"""Can this machine leave a dump? Every check, with its fix.

HOST is local (which it is without one), [user@]host over ssh, tree:DIR, a directory that holds a
machine's files, or lab:NAME, a machine of the lab. Nothing is changed there. Exit code 0: ready; 1:
not ready, or nobody can tell.
"""

from __future__ import annotations

import argparse

from kautopsy.cli._guest_options import positive
from kautopsy.cli._host_options import add_host
from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_host(parser, optional=True)
    parser.add_argument(
        "--all", action="store_true", help="show the checks that passed in full too"
    )
    parser.add_argument(
        "--rehearse",
        nargs="?",
        type=positive,
        const=0,
        metavar="MIB",
        help="panic a guest that has its kernel, its capture initrd and as much memory reserved as"
        " it has (or MIB), and see whether a dump is saved; takes minutes, changes nothing there",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Examine."""
    from kautopsy.arming.doctor import examine
    from kautopsy.arming.facts import gather
    from kautopsy.cli._signals import clean_up_on_sigterm
    from kautopsy.cli._target import open_target
    from kautopsy.report.doctor import print_doctor

    clean_up_on_sigterm()
    quiet = arguments.json
    with open_target(arguments.host, jump=arguments.jump, options=arguments.ssh_option) as host:
        with Progress(f"examine {host.name}", quiet=quiet):
            facts = gather(host)
            document = examine(facts)
        if arguments.rehearse is not None:
            from kautopsy.drill.rehearsal.check import with_rehearsal

            with Progress(f"rehearse {host.name}", quiet=quiet) as progress:
                document = with_rehearsal(document, host, facts, mib=arguments.rehearse or None)
                progress.detail = document.checks[0].summary
    if arguments.json:
        print_json(document)
    else:
        print_doctor(
            document,
            facts.node or arguments.host,
            target=arguments.host,
            every=arguments.all,
        )
    return ExitCode.OK if document.ready else ExitCode.BAD
