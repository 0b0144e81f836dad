"""Run lines: aliases, structures without ``struct``, redirections, pipes, the pager, errors."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.report.escape import one_line, terminal
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import BadArgumentsError, CommandError, LeaveShell
from kautopsy.shell.line import Line, parse, split
from kautopsy.shell.registry import Command, Lines, commands, find
from kautopsy.shell.session import Session
from kautopsy.shell.table import rows_of

_MOST_NESTED = 10


def execute(session: Session, text: str, output: TextIO, *, page: bool = False) -> bool:
    """Run one line; its output goes to ``output`` unless it says otherwise.

    :param page: long output goes through the pager
    :returns: whether it worked; what did not was said on stderr in one line
    :raises LeaveShell: the line was ``exit``
    :raises KeyboardInterrupt: Ctrl-C; the command was given up
    """
    name = ""
    try:
        line = parse(_expanded(session, text))
        if line is None:
            return True
        name = line.name
        if name == "!":
            return _shell(line.text or os.environ.get("SHELL", "/bin/sh"))
        if name == "<":
            return read_file(session, Path(line.text).expanduser(), output)
        rows = lines_of(session, line.name, line.text)
        if page and _can_page(line.name) and not (line.file or line.pipeline):
            first, more = _first_screen(rows, output)
            if not more:
                return True
            rows = itertools.chain(first, rows)
        else:
            page = False
        with _where_to(session, line, output, page) as target:
            for row in rows:
                target.write(terminal(row) + "\n")
    except BrokenPipeError:
        # The pager or the pipe was left: nothing is wrong, nobody wants the rest.
        return True
    except CommandError as error:
        complain(session, name, str(error))
        return False
    except READ_ERRORS as error:
        complain(session, name, reason(error))
        return False
    except (OSError, RecursionError, MemoryError) as error:
        complain(session, name, _system_error(error))
        return False
    return True


def _first_screen(rows: Lines, output: TextIO) -> tuple[list[str], bool]:
    """As many rows as a screen holds, and whether there are more, so that a pager is worth it.

    What fits is printed at once, even if the command is ended or fails before it is done.
    """
    height = max(2, shutil.get_terminal_size().lines - 1)
    held: list[str] = []
    full = False
    try:
        for row in rows:
            held.append(row)
            if len(held) >= height:
                full = True
                break
    finally:
        if not full:
            output.writelines(terminal(row) + "\n" for row in held)
            output.flush()
    return held, full


def _system_error(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return f"it takes too much: {type(error).__name__}"


def complain(session: Session, name: str, what: str) -> None:
    """Say in one line what went wrong."""
    session.failures += 1
    prefix = f"{name}: " if name else ""
    sys.stdout.flush()
    print(one_line(f"{prefix}{what}"), file=sys.stderr, flush=True)


def lines_of(session: Session, name: str, text: str) -> Lines:
    """The output of a command, line by line.

    :raises CommandError: there is no such command or structure, or it failed
    """
    command = find(name)
    if command is None:
        yield from _structure(session, name, text)
        return
    as_json = False
    if command.table or command.drgn:
        words = split(text)
        if command.drgn and "--drgn" in words:
            yield from command.drgn.splitlines()
            return
        if command.table and "--json" in words:
            as_json = True
            text = text.replace("--json", "", 1).strip()
    lines = _run(session, command, text)
    if as_json:
        yield json.dumps(rows_of(lines), indent=2, ensure_ascii=False)
    else:
        yield from lines


def _run(session: Session, command: Command, text: str) -> Lines:
    if command.raw:
        arguments = argparse.Namespace(text=text)
    else:
        words = split(text)
        if command.delegates and ("--drgn" in words or not _knows(command, words)):
            return delegate(session, command.name, text)
        arguments = command.parser.parse_intermixed_args(words)
        arguments.text = text
    lines = command.run(session, arguments)
    return delegate(session, command.name, text) if lines is None else lines


def _knows(command: Command, words: list[str]) -> bool:
    """Whether our options cover ``words``; else drgn's command judges them."""
    try:
        command.parser.parse_intermixed_args(words)
    except BadArgumentsError:
        return False
    return True


def _structure(session: Session, name: str, text: str) -> Lines:
    """``list_head ffff...``: a structure's name may stand alone."""
    from kautopsy.shell.types import is_aggregate

    if session.has_types and is_aggregate(session.program, name.partition(".")[0]):
        yield from lines_of(session, "*", f"{name} {text}".strip())
        return
    from kautopsy.shell.commands.gdb import KNOWN

    if session.settings.gdb or name.partition("/")[0] in KNOWN:
        yield from lines_of(session, "gdb", f"{name} {text}".strip())
        return
    near = difflib.get_close_matches(name, [*commands(), *session.aliases], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "help lists the commands"
    raise CommandError("command not found", hint=hint)


def _expanded(session: Session, text: str) -> str:
    for _ in range(_MOST_NESTED):
        stripped = text.lstrip()
        word, _, rest = stripped.partition(" ")
        if word not in session.aliases or stripped.startswith("alias"):
            return text
        text = f"{session.aliases[word]} {rest}".strip()
    raise CommandError("the alias leads to itself", thing=text)


def read_file(session: Session, path: Path, output: TextIO) -> bool:
    """Run the commands in a file, one a line; ends at ``exit``. Says each, as crash does.

    :returns: whether all worked
    """
    if not path.is_file():
        complain(session, "<", f"no such file: {path}")
        return False
    fine = True
    for text in path.read_text(errors="replace").splitlines():
        fine &= execute(session, text, output)
    return fine


def _can_page(name: str) -> bool:
    return name not in ("py", "exit", "q", "!")


@contextlib.contextmanager
def _where_to(session: Session, line: Line, output: TextIO, page: bool) -> Iterator[IO[str]]:
    if line.file:
        with Path(line.file).expanduser().open("a" if line.append else "w") as file:
            yield file
        return
    pipeline = line.pipeline
    if not pipeline and page and session.settings.scroll:
        pipeline = session.settings.pager or "less -E -X"
        if not session.settings.pager and not _has("less"):
            pipeline = "more" if _has("more") else ""
    if not pipeline:
        yield output
        output.flush()
        return
    output.flush()
    with subprocess.Popen(
        ["/bin/sh", "-c", pipeline],
        stdin=subprocess.PIPE,
        stdout=None if output is sys.stdout else subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    ) as child:
        assert child.stdin is not None
        if output is sys.stdout:
            try:
                yield child.stdin
            except BrokenPipeError:
                # It was left before its end: by choice, unless it never was.
                pass
            finally:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
                _wait(child)
        else:
            # Its output is ours to pass on (a test, a script): all of it at once.
            import io

            held = io.StringIO()
            yield held
            told, _ = child.communicate(held.getvalue())
            output.write(told)
    if child.returncode == 127:
        raise CommandError("no such program", thing=pipeline.split()[0])


def _wait(child: subprocess.Popen[str]) -> None:
    while True:
        try:
            child.wait()
            return
        except KeyboardInterrupt:
            # The pager gets the Ctrl-C as well and decides by itself.
            continue


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _shell(text: str) -> bool:
    sys.stdout.flush()
    return subprocess.run(["/bin/sh", "-c", text], check=False).returncode == 0


def run_lines(session: Session, texts: list[str], output: TextIO) -> bool:
    """Run several lines until one leaves the shell; whether all worked."""
    fine = True
    for text in texts:
        try:
            fine &= execute(session, text, output)
        except LeaveShell:
            break
    return fine


__all__ = ["BadArgumentsError", "complain", "execute", "lines_of", "read_file", "run_lines"]
