"""``ipcs``: System V shared memory, semaphores, message queues."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import cast
from drgn.helpers.linux.ipc import find_sysv_shm

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.delegate import delegate
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command("ipcs", "System V IPC facilities", usage="[-smMq] [-n pid|task] [id | addr]", raw=True)
def ipcs(session: Session, arguments: argparse.Namespace) -> Lines:
    """Shared memory (-m; -M with its pages), semaphores (-s), message queues (-q), or all."""
    words = arguments.text.split()
    if "-M" not in words:
        return delegate(session, "ipcs", arguments.text)
    rest = " ".join("-m" if word == "-M" else word for word in words)
    return _with_pages(session, delegate(session, "ipcs", rest))


def _with_pages(session: Session, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        cells = line.split()
        if len(cells) < 7 or not cells[2].isdigit():
            continue
        try:
            segment = find_sysv_shm(session.program, int(cells[2]))
            yield _pages(segment)
        except READ_ERRORS:
            yield "PAGES ALLOCATED/RESIDENT/SWAPPED: (not in the dump)"
        yield ""


def _pages(segment: object) -> str:
    """Of ``struct shmid_kernel *``: the file's size, its page cache, what tmpfs swapped out."""
    inode = segment.shm_file.f_inode  # type: ignore[attr-defined]
    pages = (int(segment.shm_segsz) + 4095) // 4096  # type: ignore[attr-defined]
    resident = int(inode.i_mapping.nrpages)
    swapped = 0
    name = text(inode.i_sb.s_type.name.string_())
    if name == "tmpfs":
        from drgn import container_of

        info = container_of(inode, "struct shmem_inode_info", "vfs_inode")
        swapped = int(cast("unsigned long", info.swapped))
    return f"PAGES ALLOCATED/RESIDENT/SWAPPED: {pages}/{resident}/{swapped}"
