"""Python on a dump: the program, the tables and the findings bound."""

from __future__ import annotations

import code
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drgn

from kautopsy.kernel.table import tables
from kautopsy.model.errors import ExitCode
from kautopsy.report.escape import terminal
from kautopsy.shell.errors import CommandError
from kautopsy.shell.session import Session

BANNER = """\
prog is the drgn program, task the current task; tables.NAME() yields rows (dir(tables));
findings() says what is wrong with the machine; crash("bt -a") runs a command. Ctrl-D returns."""


class BoundTables:
    """The tables of ``kernel/`` on one program: ``tables.tasks()`` yields its rows."""

    def __init__(self, program: drgn.Program) -> None:
        self._program = program
        self._tables = {one.name: one for one in tables()}

    def __dir__(self) -> list[str]:
        return sorted(self._tables)

    def __getattr__(self, name: str) -> Callable[[], Iterator[Any]]:
        try:
            table = self._tables[name]
        except KeyError:
            raise AttributeError(f"no table {name!r}; there are {', '.join(dir(self))}") from None
        return lambda: table(self._program)


def namespace(session: Session) -> dict[str, Any]:
    """The names that Python sees.

    drgn's own (``Object``, ``cast``, ``container_of``, …) and its Linux helpers are there, as in
    drgn's prompt, so that what a command's ``--drgn`` prints can be pasted.
    """
    names: dict[str, Any] = {name: getattr(drgn, name) for name in drgn.__all__}
    import drgn.helpers.common as common
    import drgn.helpers.linux as linux

    for module in (common, linux):
        exported = getattr(module, "__all__", None) or [
            name for name in vars(module) if not name.startswith("_")
        ]
        names |= {name: getattr(module, name) for name in exported}
    names["drgn"] = drgn
    names["prog"] = session.program
    names["tables"] = BoundTables(session.program)
    names["findings"] = lambda: findings(session)
    names["crash"] = lambda text: run_command(session, text)
    names["session"] = session
    try:
        names["task"] = session.context
    except CommandError:
        names["task"] = None
    drgn.set_default_prog(session.program)
    return names


def run_command(session: Session, text: str) -> None:
    """Run a line of the shell from Python."""
    from kautopsy.shell.run import execute

    execute(session, text, sys.stdout)


def findings(session: Session) -> tuple[Any, ...]:
    """What the detectors found (:class:`~kautopsy.model.finding.Finding`), surest first.

    :raises CommandError: on a running kernel, where nothing has died
    """
    if session.dump is None:
        raise CommandError("findings are about a dump, and this is the running kernel")
    if session.investigate is None:
        raise CommandError("nothing here looks for findings")
    return tuple(session.investigate())


def interact(session: Session) -> None:
    """A Python prompt; Ctrl-D returns to the shell."""
    import readline
    import rlcompleter

    names = namespace(session)
    before = readline.get_completer()
    readline.set_completer(rlcompleter.Completer(names).complete)
    shown = sys.displayhook
    sys.displayhook = _display
    try:
        code.interact(banner=BANNER, local=names, exitmsg="")
    except SystemExit:
        pass
    finally:
        readline.set_completer(before)
        sys.displayhook = shown


def _display(value: object) -> None:
    """As drgn's prompt: its values as C, escaped; everything else as Python."""
    import builtins

    if value is None:
        return
    is_drgn = isinstance(value, (drgn.Object, drgn.Type, drgn.StackTrace, drgn.StackFrame))
    print(terminal(str(value) if is_drgn else repr(value)))
    builtins._ = value  # type: ignore[attr-defined]


def execute_text(session: Session, text: str) -> None:
    """One line of Python, its value printed; as typed after ``py``."""
    names = session.cached("python", lambda: namespace(session))
    assert isinstance(names, dict)
    interpreter = code.InteractiveInterpreter(names)
    shown = sys.displayhook
    sys.displayhook = _display
    try:
        interpreter.runsource(text, "<py>", "single")
    finally:
        sys.displayhook = shown


def run_script(session: Session, script: Path, arguments: list[str]) -> int:
    """Run a script with the names of :func:`namespace` and ``sys.argv`` as it expects them."""
    old = sys.argv
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    try:
        runpy.run_path(str(script), init_globals=namespace(session), run_name="__main__")
    except SystemExit as error:
        if error.code is None:
            return ExitCode.OK
        if isinstance(error.code, int):
            return error.code
        print(error.code, file=sys.stderr)
        return ExitCode.BAD
    except KeyboardInterrupt:
        raise
    except Exception:
        # Its own traceback, from the script's first line on: it is the user's program.
        import traceback

        kind, value, trace = sys.exc_info()
        while trace is not None and trace.tb_frame.f_code.co_filename != str(script):
            trace = trace.tb_next
        traceback.print_exception(kind, value, trace)
        return ExitCode.BAD
    finally:
        sys.argv = old
        sys.path.remove(str(script.parent))
    return ExitCode.OK
