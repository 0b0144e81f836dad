"""The prompt: history, completion, Ctrl-C that ends a command and not the shell."""

from __future__ import annotations

import contextlib
import os
import platform
import readline
import sys
from collections.abc import Iterator
from pathlib import Path

from kautopsy.report.escape import one_line
from kautopsy.shell.catalogue import between, catalogue, symbol_names
from kautopsy.shell.errors import CommandError, LeaveShell
from kautopsy.shell.registry import commands
from kautopsy.shell.run import complain, execute
from kautopsy.shell.session import Session

_MOST_HISTORY = 10_000
_MOST_MATCHES = 2_000


def interact(session: Session) -> None:
    """Read lines and run them until the user leaves."""
    with _history():
        readline.set_completer_delims(" \t\n|>&*()[]=,")
        readline.set_completer(Completer(session).complete)
        readline.parse_and_bind("tab: complete")
        while True:
            try:
                text = input(prompt(session))
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print("^C")
                continue
            try:
                execute(session, text, sys.stdout, page=sys.stdout.isatty())
            except KeyboardInterrupt:
                print()
                complain(session, "", "interrupted")
            except LeaveShell:
                return


def prompt(session: Session) -> str:
    """``crash> ``; a running kernel is said loudly."""
    if session.live:
        return f"crash LIVE KERNEL {one_line(platform.node())}> "
    return "crash> "


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Lines typed in earlier sessions; kept only for the user (they may hold secrets)."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kautopsy"
    file = folder / "shell_history"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        readline.read_history_file(file)
    readline.set_history_length(_MOST_HISTORY)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(file)


class Completer:
    """Completes commands at the start of a line, then types, members, symbols and files."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._matches: list[str] = []

    def complete(self, text: str, at: int) -> str | None:
        """readline's question: the ``at``-th match for ``text``."""
        if at == 0:
            line = readline.get_line_buffer()
            begin = readline.get_begidx()
            try:
                self._matches = self.matches(text, line[:begin])
            except Exception:
                # Nothing that a completion meets may disturb the line being typed.
                self._matches = []
        return self._matches[at] if at < len(self._matches) else None

    def matches(self, text: str, before: str) -> list[str]:
        """What ``text`` can become after ``before``."""
        program = self._session.program
        found: list[str] = []
        first = not before.strip()
        if first:
            known = [*commands(), *self._session.aliases]
            found += sorted(f"{name} " for name in known if name.startswith(text))
        elif before.split()[0] == "help":
            return sorted(name for name in commands() if name.startswith(text))
        elif before.split()[0] == "foreach":
            found += sorted(name for name in commands() if name.startswith(text))
        if "." in text:
            return found + self._members(text)
        if len(text) < 2:
            return found
        with contextlib.suppress(CommandError):
            found += catalogue(program).starting(text)
        if not first:
            found += between(symbol_names(program), text)
        return list(dict.fromkeys(found))[:_MOST_MATCHES]

    def _members(self, text: str) -> list[str]:
        from kautopsy.shell.types import AGGREGATES, all_members, find_aggregate, unaliased

        path = text.split(".")
        type_ = find_aggregate(self._session.program, path[0])
        for name in path[1:-1]:
            if type_ is None:
                return []
            inner = next((one.type for one in all_members(type_) if one.name == name), None)
            type_ = inner if inner is not None and unaliased(inner).kind in AGGREGATES else None
        if type_ is None:
            return []
        lead = ".".join(path[:-1])
        return [
            f"{lead}.{one.name}"
            for one in all_members(type_)
            if one.name and one.name.startswith(path[-1])
        ]
