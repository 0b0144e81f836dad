"""A shell on a dump: crash's commands, pipes, history, completion, Python.

Names and types come out of the dump itself where no debuginfo is at hand. With SCRIPT.py that
script runs with ``prog``, ``tables`` and ``findings`` bound; -i and -c run commands and leave.
DUMP may be ``local``: the running kernel, where it allows that (root, /proc/kcore).
"""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.model.errors import ExitCode, UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kautopsy.model.finding import Finding
    from kautopsy.shell.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="DUMP|DIR|local", help="a vmcore, or this machine")
    parser.add_argument(
        "script", nargs="?", type=Path, metavar="SCRIPT.py", help="a Python script to run on it"
    )
    parser.add_argument("arguments", nargs="*", metavar="ARG", help="the script's, in sys.argv")
    parser.add_argument(
        "-i", dest="file", type=Path, metavar="FILE", help="run the commands in FILE, then leave"
    )
    parser.add_argument(
        "-c",
        dest="commands",
        action="append",
        default=[],
        metavar="COMMAND",
        help="run COMMAND, then leave; may be given several times",
    )
    parser.add_argument(
        "--vmlinux",
        type=Path,
        metavar="FILE",
        help="the kernel's debuginfo; its build-id must match",
    )
    parser.add_argument(
        "--debuginfo",
        choices=("auto", "never"),
        default="auto",
        help="auto: use the vmlinux that is found on this machine; never: use the dump alone",
    )
    parser.add_argument(
        "--memory-limit", type=int, default=4096, metavar="MIB", help="for what reads the dump"
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at the arguments; the rest is done by a process of its own."""
    if arguments.script is not None and (arguments.file or arguments.commands):
        raise UsageError("a script goes without -i and -c")
    if arguments.script is not None and not arguments.script.is_file():
        raise UnreadableError("no such script", thing=str(arguments.script), slug="no-such-file")
    if arguments.file is not None and not arguments.file.is_file():
        raise UnreadableError("no such file", thing=str(arguments.file), slug="no-such-file")
    from kautopsy.cli.main import guarded
    from kautopsy.shell.supervise import supervise

    return supervise(
        lambda: guarded(lambda: _within_memory(arguments)),
        thing=arguments.target,
        memory_bytes=arguments.memory_limit << 20,
    )


def _within_memory(arguments: argparse.Namespace) -> int:
    try:
        return _work(arguments)
    except MemoryError:
        raise UnreadableError(
            f"reading it needs more than {arguments.memory_limit} MiB",
            thing=arguments.target,
            slug="out-of-memory",
            hint="raise --memory-limit",
        ) from None


def _work(arguments: argparse.Namespace) -> int:
    """In the child, which may die of what it reads."""
    # What is made until there is a prompt stays: looking for garbage in it only takes time.
    gc.disable()
    session = _open(arguments)
    gc.freeze()
    gc.enable()
    if arguments.script is not None:
        from kautopsy.shell.python import run_script

        return run_script(session, arguments.script, arguments.arguments)
    if arguments.file is not None or arguments.commands:
        return _batch(session, arguments)
    if not sys.stdin.isatty():
        return _batch_stdin(session)
    from kautopsy.shell.prompt import interact
    from kautopsy.shell.welcome import welcome

    for line in welcome(session):
        print(line)
    interact(session)
    return ExitCode.OK


def _open(arguments: argparse.Namespace) -> Session:
    from kautopsy.shell.opening import LOCAL, open_live, open_session

    if arguments.target == LOCAL:
        session = open_live()
        print("kautopsy: this is the RUNNING KERNEL of this machine", file=sys.stderr)
        return session
    path = Path(arguments.target)
    if path.is_dir():
        from kautopsy.triage.target import find_target

        found = find_target(path)
        if found.dump is None:
            raise UnreadableError("holds no dump", thing=str(path), slug="no-dump")
        for note in found.notes:
            print(note, file=sys.stderr)
        path = found.dump
    session = open_session(
        str(path), vmlinux=arguments.vmlinux, debuginfo=arguments.debuginfo == "auto"
    )
    session.investigate = lambda: _findings(session)
    return session


def _findings(session: Session) -> Iterator[Finding]:
    """What ``report`` would find on the program that is open already."""
    from kautopsy.kernel.system import system
    from kautopsy.model.base import Unreadable
    from kautopsy.triage.detector import investigate
    from kautopsy.triage.reported import reported, told
    from kautopsy.triage.scene import Scene

    assert session.dump is not None
    scene = Scene(session.program, session.dump, session.symbols)
    log = scene.log
    header = system(session.program, log if isinstance(log, Unreadable) else scene.log_lines)
    scene.told = told(scene)
    scene.crash = reported(scene, header)
    return investigate(scene)


def _batch(session: Session, arguments: argparse.Namespace) -> int:
    from kautopsy.shell.errors import LeaveShell
    from kautopsy.shell.run import read_file, run_lines

    fine = True
    if arguments.file is not None:
        try:
            fine &= read_file(session, arguments.file, sys.stdout)
        except LeaveShell:
            return ExitCode.OK
    fine &= run_lines(session, arguments.commands, sys.stdout)
    return ExitCode.OK if fine else ExitCode.BAD


def _batch_stdin(session: Session) -> int:
    """Commands from a pipe: ``echo bt | kautopsy shell vmcore``."""
    from kautopsy.shell.run import run_lines

    fine = run_lines(session, sys.stdin.read().splitlines(), sys.stdout)
    return ExitCode.OK if fine else ExitCode.BAD
