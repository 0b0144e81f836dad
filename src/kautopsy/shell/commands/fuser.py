"""``fuser``: who uses a file."""

from __future__ import annotations

import argparse

from kautopsy.kernel.reading import text
from kautopsy.shell.errors import CommandError
from kautopsy.shell.openfiles import uses
from kautopsy.shell.registry import Lines, argument, command
from kautopsy.shell.session import Session
from kautopsy.shell.table import columns

_ORDER = ("fd", "cwd", "root", "exe", "mmap")


@command(
    "fuser",
    "file users",
    usage="[pathname | inode]",
    arguments=(argument("what", metavar="pathname|inode", help="or the inode's address"),),
    table=True,
    drgn="""
    from drgn.helpers.linux.fs import for_each_file, d_path
    from drgn.helpers.linux.pid import for_each_task
    for task in for_each_task(prog):
        for fd, file in for_each_file(task):
            print(task.pid, fd, d_path(file.f_path))
    """,
)
def fuser(session: Session, arguments: argparse.Namespace) -> Lines:
    """The tasks that have a file open (fd), mapped (mmap), as program (exe), as root or cwd."""
    session.need_types("fuser")
    wanted = arguments.what
    inode = _hexadecimal(wanted)
    found: dict[int, tuple[str, str, str, set[str]]] = {}
    for use in uses(session):
        if use.inode == inode if inode is not None else use.path == wanted:
            key = use.task.value_()
            row = found.setdefault(
                key,
                (str(int(use.task.pid)), f"{key:x}", f'"{text(use.task.comm.string_())}"', set()),
            )
            row[3].add(use.how)
    if not found:
        raise CommandError("no users found", thing=wanted)
    rows = [
        (pid, task, comm, " ".join(how for how in _ORDER if how in hows))
        for pid, task, comm, hows in found.values()
    ]
    yield from columns((" PID", "TASK", "COMM", "USAGE"), rows, align="rccl")


def _hexadecimal(text: str) -> int | None:
    if text.startswith("/"):
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None
