"""``files``: open files of a task."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from drgn import Object, Program
from drgn.helpers.linux.fs import d_path, dentry_path, for_each_file, for_each_mount
from drgn.helpers.linux.net import SOCKET_I

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.context import header, hexadecimal, tasks_or_context
from kautopsy.shell.errors import BadArgumentsError
from kautopsy.shell.registry import Lines, PerTask, argument, command
from kautopsy.shell.session import Session

_TYPES = {0o010000: "FIFO", 0o020000: "CHR", 0o040000: "DIR", 0o060000: "BLK", 0o100000: "REG",
          0o120000: "LNK", 0o140000: "SOCK"}  # fmt: skip


@command(
    "files",
    "open files",
    usage="[-d dentry] | [-p inode] | [-c] [-R reference] [pid | taskp] ...",
    arguments=(
        argument("-d", dest="dentry", help="the inode, superblock and path of a dentry's address"),
        argument("-R", dest="reference", help="only descriptors, addresses or files like this"),
        argument("tasks", nargs="*", metavar="pid|taskp"),
    ),
    per_task=PerTask.ARGUMENT,
    delegates=True,
    table=True,
    drgn="""
    from drgn.helpers.linux.fs import d_path, dentry_path, for_each_file, for_each_mount
    for fd, file in for_each_file(task):
        print(fd, d_path(file.f_path))
    """,
)
def files(session: Session, arguments: argparse.Namespace) -> Lines:
    """Root, working directory, and every descriptor: file, dentry, inode, type, path.

    A file whose dentry the dump lacks still has its line.
    """
    session.need_types("files")
    if arguments.dentry:
        yield from _dentry(session, arguments.dentry)
        return
    for number, task in enumerate(tasks_or_context(session, arguments.tasks)):
        lines = _one(task)
        if arguments.reference:
            lines = _referring(lines, arguments.reference)
        first = True
        for line in lines:
            if first and number:
                yield ""
            first = False
            yield line


def _dentry(session: Session, word: str) -> Iterator[str]:
    address = hexadecimal(word)
    if address is None:
        raise BadArgumentsError("is no address", thing=word)
    program = session.program
    dentry = Object(program, "struct dentry *", value=address)
    inode = dentry.d_inode.read_()
    kind = _TYPES.get(int(inode.i_mode) & 0o170000, "UNKN") if inode else "N/A"
    block = dentry.d_sb.read_()
    yield "     DENTRY           INODE           SUPERBLK     TYPE PATH"
    yield (
        f"{address:016x} {int(inode):016x} {int(block):016x} {kind:<4} "
        f"{text(_whole_path(program, dentry, block))}"
    ).rstrip()


def _whole_path(program: Program, dentry: Object, block: Object) -> bytes:
    """From the root, where the dentry's filesystem is mounted; else within its filesystem."""
    for mount in for_each_mount(program):
        if mount.mnt.mnt_sb == block:
            return d_path(mount.mnt.address_of_(), dentry)
    return dentry_path(dentry)


def _one(task: Object) -> Iterator[str]:
    yield header(task)
    try:
        root, pwd = text(d_path(task.fs.root)), text(d_path(task.fs.pwd))
        yield f"ROOT: {root}    CWD: {pwd}"
    except READ_ERRORS:
        yield "ROOT: (unreadable)    CWD: (unreadable)"
    rows: list[str] = []
    try:
        rows = [_row(fd, file) for fd, file in for_each_file(task) if file]
    except READ_ERRORS:
        rows.append("(the rest of the descriptors is not in the dump)")
    if not rows:
        yield "No open files"
        return
    yield " FD       FILE            DENTRY           INODE       TYPE PATH"
    yield from rows


def _row(fd: int, file: Object) -> str:
    dentry = inode = 0
    kind = "?"
    path = ""
    try:
        dentry = int(file.f_path.dentry)
        node = file.f_path.dentry.d_inode
        inode = int(node)
        kind = _TYPES.get(int(node.i_mode) & 0o170000, "UNKN")
        # A socket has no path; its protocol says more.
        path = _protocol(node) if kind == "SOCK" else text(d_path(file.f_path))
    except READ_ERRORS:
        path = path or "(unreadable)"
    if kind == "FIFO" and path.startswith("pipe:"):
        kind, path = "PIPE", ""
    return f"{fd:>3} {file.value_():016x} {dentry:016x} {inode:016x} {kind:<4} {path}".rstrip()


def _protocol(inode: Object) -> str:
    """``TCPv6``, ``UNIX-STREAM``: struct proto.name."""
    try:
        sock = SOCKET_I(inode).sk.read_()
        return text(sock.member_("__sk_common").skc_prot.name.string_())
    except READ_ERRORS:
        return ""


def _referring(lines: Iterable[str], reference: str) -> Iterator[str]:
    heads: list[str] = []
    for line in lines:
        if re.match(r"PID:|ROOT:|\s+FD ", line):
            heads.append(line)
            if line.startswith("ROOT:") and reference in line.split():
                yield from heads
                heads = []
            continue
        if _matches(line, reference):
            yield from heads
            heads = []
            yield line


def _matches(line: str, reference: str) -> bool:
    words = line.split()
    bare = reference.removeprefix("0x").lower()
    return bool(words) and (
        words[0] == reference or bare in words[1:4] or reference in (line[58:] or "")
    )
