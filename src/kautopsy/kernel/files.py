"""Open files: who has what open, whether it still has a name or not."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.fs import d_path, for_each_file

from kautopsy.kernel.reading import READ_ERRORS, readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.threads import threads
from kautopsy.model.base import Unreadable

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFLNK: "link",
    # eventfd, epoll, timerfd … share one inode without a type (fs/anon_inodes.c).
    0: "anonymous",
}


class OpenFile(msgspec.Struct, frozen=True):
    """One file descriptor of one process."""

    pid: Annotated[int, Column("process id (tgid)")]
    comm: Annotated[str, Column("name of the process")]
    fd: Annotated[int, Column("file descriptor")]
    address: Annotated[int, Column("of the struct file", unit="address")]
    path: Annotated[str | Unreadable, Column("from the root of its mount namespace")]
    type: Annotated[
        str | Unreadable,
        Column("file, directory, character, block, fifo, socket, link or anonymous"),
    ]
    device: Annotated[str | Unreadable, Column("super block's name (s_id): the disk, or the type")]
    inode: Annotated[int | Unreadable, Column("number")]
    links: Annotated[int | Unreadable, Column("names it has; 0 if it was deleted")]
    size: Annotated[int | Unreadable, Column("of the file", unit="bytes")]
    position: Annotated[int | Unreadable, Column("file offset", unit="bytes")]
    flags: Annotated[int | Unreadable, Column("f_flags: O_RDONLY, O_DIRECT …")]


@table
def open_files(program: Program) -> Iterator[OpenFile]:
    """File descriptors of every process; threads share those of their process."""
    for task in threads(program).tasks:
        try:
            if int(task.pid) != int(task.tgid) or not task.files:
                continue
            comm = text(task.comm.string_())
            for number, file in for_each_file(task):
                # A descriptor is taken before its file is there: open() of a FIFO, accept().
                if file:
                    yield _row(int(task.tgid), comm, number, file)
        except READ_ERRORS:
            # The task's table, or a part of it, is not in the dump.
            continue


def _row(pid: int, comm: str, number: int, file: Object) -> OpenFile:
    def mode() -> int:
        return stat.S_IFMT(int(file.f_inode.i_mode))

    return OpenFile(
        pid=pid,
        comm=comm,
        fd=number,
        address=int(file),
        path=readable(lambda: text(d_path(file.f_path))),
        type=readable(lambda: _TYPES.get(mode(), "?")),
        device=readable(lambda: text(file.f_inode.i_sb.s_id.string_())),
        inode=readable(lambda: int(file.f_inode.i_ino)),
        links=readable(lambda: int(file.f_inode.i_nlink)),
        size=readable(lambda: int(file.f_inode.i_size)),
        position=readable(lambda: int(file.f_pos)),
        flags=readable(lambda: int(file.f_flags)),
    )
