"""``alias``: another name for a command with its words."""

from __future__ import annotations

import argparse

from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, argument, command, commands
from kautopsy.shell.session import Session
from kautopsy.shell.table import columns


@command(
    "alias",
    "command aliases",
    usage="[alias] [command string]",
    arguments=(
        argument("name", nargs="?", help="the alias to show or to make"),
        argument("words", nargs=argparse.REMAINDER, help="what it stands for; '' removes it"),
    ),
    table=True,
)
def alias(session: Session, arguments: argparse.Namespace) -> Lines:
    """Makes an alias of a command string, shows one, or lists them all.

    alias             lists all
    alias NAME        shows what NAME stands for
    alias NAME ''     removes it
    alias NAME WORDS  makes it; it stays until the session ends
    """
    name = arguments.name
    if name is None:
        rows = [("user", key, value) for key, value in sorted(session.aliases.items())]
        yield from columns(("ORIGIN", "ALIAS", "COMMAND"), rows)
        return
    words = " ".join(arguments.words)
    if not arguments.words:
        if name not in session.aliases:
            raise CommandError("alias does not exist", thing=name)
        yield from columns(
            ("ORIGIN", "ALIAS", "COMMAND"), [("user", name, session.aliases[name])]
        )
        return
    if words.strip() in ("", '""', "''"):
        if session.aliases.pop(name, None) is None:
            raise CommandError("alias does not exist", thing=name)
        yield f"alias deleted: {name}"
        return
    if name in commands():
        raise CommandError("is a command, so it can be no alias", thing=name)
    session.aliases[name] = words
    yield from columns(("ORIGIN", "ALIAS", "COMMAND"), [("user", name, words)])
