"""``alias``: another name for a command with its words."""

from __future__ import annotations

import argparse

from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, command, commands
from kautopsy.shell.session import BUILTIN_ALIASES, Session
from kautopsy.shell.table import columns


@command("alias", "command aliases", usage="[alias] [command string]", raw=True, table=True)
def alias(session: Session, arguments: argparse.Namespace) -> Lines:
    """Makes an alias of a command string, shows one, or lists them all.

    alias             lists all
    alias NAME        shows what NAME stands for
    alias NAME ''     removes it
    alias NAME WORDS  makes it; it stays until the session ends
    """
    name, _, words = arguments.text.partition(" ")
    words = words.strip()
    if not words:
        if name and name not in session.aliases:
            raise CommandError("alias does not exist", thing=name)
        yield from _listed(session, name)
        return
    if words in ('""', "''"):
        if session.aliases.pop(name, None) is None:
            raise CommandError("alias does not exist", thing=name)
        yield f"alias deleted: {name}"
        return
    if name in commands():
        raise CommandError("is a command, so it can be no alias", thing=name)
    session.aliases[name] = words
    yield from _listed(session, name)


def _listed(session: Session, only: str) -> Lines:
    rows = [
        ("builtin" if BUILTIN_ALIASES.get(key) == value else "runtime", key, value)
        for key, value in session.aliases.items()
        if only in ("", key)
    ]
    yield from columns(("ORIGIN", "ALIAS", "COMMAND"), rows)
