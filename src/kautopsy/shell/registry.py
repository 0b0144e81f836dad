"""Commands are declared: name, summary, options, help and the drgn way come from one place.

::

    @command("ptob", "page to bytes", usage="page ...", arguments=(argument("pages", nargs="+"),))
    def ptob(session: Session, arguments: argparse.Namespace) -> Lines:
        \"\"\"Longer help.\"\"\"
        yield "..."

A command yields lines; who runs it escapes them for the terminal, pages them and sends them
through pipes. A module of :mod:`kautopsy.shell.commands` holds one command, or a family.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from kautopsy.shell.errors import BadArgumentsError

if TYPE_CHECKING:
    from kautopsy.shell.session import Session

Lines = Iterator[str]
Run = Callable[["Session", argparse.Namespace], Lines]


class PerTask(StrEnum):
    """How ``foreach`` runs a command for one task."""

    NO = "no"
    ARGUMENT = "argument"
    """The task's address is one more argument."""
    CONTEXT = "context"
    """The command works on the current context, which becomes the task."""


@dataclass(frozen=True)
class Argument:
    """One option or operand, as for :meth:`argparse.ArgumentParser.add_argument`."""

    names: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


def argument(*names: str, **settings: Any) -> Argument:
    """An option or operand of a command."""
    return Argument(names, settings)


def flag(name: str, explanation: str, *, dest: str | None = None) -> Argument:
    """An option without a value."""
    settings: dict[str, Any] = {"action": "store_true", "help": explanation}
    if dest is not None:
        settings["dest"] = dest
    return Argument((name,), settings)


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the program, and never abbreviates."""

    def __init__(self, name: str, usage: str, summary: str) -> None:
        super().__init__(
            prog=name,
            usage=f"{name} {usage}".rstrip().replace("%", "%%"),
            description=summary.replace("%", "%%"),
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print before it exits."""
        raise BadArgumentsError(message, hint=f"help {self.prog}")


@dataclass(frozen=True)
class Command:
    """One command of the shell.

    :param usage: its synopsis without the name
    :param run: yields the lines of its output; ``None`` hands the words to drgn's command
    :param raw: it gets its words as they were typed (``arguments.text``), unparsed
    :param delegates: some options are drgn's: what the parser does not know goes there
    :param drgn: the Python that does the same
    :param table: its output is a table, which ``--json`` gives as rows
    """

    name: str
    summary: str
    usage: str
    arguments: tuple[Argument, ...]
    run: Callable[[Session, argparse.Namespace], Lines | None]
    details: str
    raw: bool
    per_task: PerTask
    drgn: str
    table: bool
    delegates: bool

    @cached_property
    def parser(self) -> Parser:
        """Its parser; foreach needs it as often as there are tasks."""
        parser = Parser(self.name, self.usage, self.summary)
        for one in self.arguments:
            parser.add_argument(*one.names, **one.settings)
        return parser

    def help(self) -> str:
        """NAME, SYNOPSIS, DESCRIPTION, as crash lays its help out."""
        parts = ["", "NAME", f"  {self.name} - {self.summary}", "", "SYNOPSIS"]
        parts += [f"  {self.name} {self.usage}".rstrip(), "", "DESCRIPTION"]
        if self.details:
            parts.append(textwrap.indent(self.details, "  "))
        if self.arguments:
            text = self.parser.format_help()
            parts += ["", *text.partition("\n\n")[2].partition("\n\n")[2].splitlines()]
        if self.table:
            parts += ["", "  --json gives the rows as JSON."]
        if self.drgn:
            parts += ["", "  --drgn shows the same in Python:", ""]
            parts.append(textwrap.indent(self.drgn, "    "))
        return "\n".join(parts) + "\n"


_COMMANDS: dict[str, Command] = {}
_LOADED: list[bool] = []


def command(
    name: str,
    summary: str,
    *,
    usage: str = "",
    arguments: tuple[Argument, ...] = (),
    raw: bool = False,
    per_task: PerTask = PerTask.NO,
    drgn: str = "",
    table: bool = False,
    delegates: bool = False,
) -> Callable[
    [Callable[[Session, argparse.Namespace], Lines | None]],
    Callable[[Session, argparse.Namespace], Lines | None],
]:
    """Declare a command; its details are the function's docstring."""

    def register(
        run: Callable[[Session, argparse.Namespace], Lines | None],
    ) -> Callable[[Session, argparse.Namespace], Lines | None]:
        _COMMANDS[name] = Command(
            name=name,
            summary=summary,
            usage=usage,
            arguments=arguments,
            run=run,
            details=textwrap.dedent("    " + (run.__doc__ or "")).strip(),
            raw=raw,
            per_task=per_task,
            drgn=textwrap.dedent(drgn).strip(),
            table=table,
            delegates=delegates,
        )
        return run

    return register


def forget(names: tuple[str, ...]) -> None:
    """Take commands of an extension away."""
    for name in names:
        _COMMANDS.pop(name, None)


def find(name: str) -> Command | None:
    """The command ``name``; most have a module of that name, and no other need be loaded."""
    if name not in _COMMANDS and name.isidentifier():
        module = f"{__package__}.commands.{name}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    return _COMMANDS.get(name) or commands().get(name)


def commands() -> dict[str, Command]:
    """All commands by name."""
    if not _LOADED:
        import kautopsy.shell.commands

        for module in pkgutil.iter_modules(kautopsy.shell.commands.__path__):
            importlib.import_module(f"kautopsy.shell.commands.{module.name}")
        _LOADED.append(True)
    return _COMMANDS
