"""``help``: what there is, and what each command takes."""

from __future__ import annotations

import argparse
import contextlib
import difflib

from kautopsy.shell.commands.drgns import COMPLETE
from kautopsy.shell.delegate import help_of
from kautopsy.shell.errors import CommandError
from kautopsy.shell.manual import PARTLY
from kautopsy.shell.registry import Command, Lines, argument, command, commands
from kautopsy.shell.session import Session

_PER_LINE = 5


@command(
    "help",
    "get help",
    usage="[command | all]",
    arguments=(argument("command", nargs="*", help="what to explain; all: everything"),),
)
def help_(session: Session, arguments: argparse.Namespace) -> Lines:
    """Lists the commands, or explains one, in man-page form."""
    if not arguments.command:
        yield from _overview(session)
        return
    for name in commands() if arguments.command == ["all"] else arguments.command:
        known = commands().get(name)
        if known is None:
            near = difflib.get_close_matches(name, commands(), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else "help lists them"
            raise CommandError("no command of this name", thing=name, hint=hint)
        yield from explained(session, known)


def explained(session: Session, known: Command) -> Lines:
    """The page of one command; where drgn's does the work its options are drgn's."""
    yield from known.help().splitlines()
    if known.name in COMPLETE or known.name in PARTLY:
        with contextlib.suppress(CommandError):
            theirs = help_of(session, known.name)
            if "No command named" not in theirs:
                yield "OPTIONS OF drgn'S COMMAND"
                yield from theirs.partition("SYNOPSIS\n")[2].splitlines()
                yield ""


def _overview(session: Session) -> Lines:
    names = sorted(commands())
    rows = -(-len(names) // _PER_LINE)
    yield ""
    for row in range(rows):
        yield "".join(f"{name:<15}" for name in names[row::rows]).rstrip()
    yield ""
    yield 'For help on any command, enter "help <command>".'
    yield "A structure's name may stand alone (list_head.next ffff...). Output goes through pipes"
    yield "(ps | grep UN) and into files (log > file); < file runs the commands in it; !cmd is a"
    yield "shell command. py is Python with prog, tables and findings."
    if session.aliases:
        yield f"Aliases: {', '.join(sorted(session.aliases))}"
    yield ""
