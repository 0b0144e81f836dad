"""``mount``: mounted filesystems, open files and dirty inodes on them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype, mount_src
from drgn.helpers.linux.list import list_for_each_entry

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.context import pid_or_task
from kautopsy.shell.errors import CommandError
from kautopsy.shell.openfiles import Use, uses
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session

_HEAD = "     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME"
# I_DIRTY_SYNC, I_DIRTY_DATASYNC, I_DIRTY_PAGES, I_DIRTY_TIME (include/linux/fs.h)
_DIRTY = 0x7 | 1 << 11
_MOST = 1_000_000


@command(
    "mount",
    "mounted filesystem data",
    usage="[-f][-i] [-n pid|task] [mount|vfsmount|superblock|device|directory|dentry|inode]",
    arguments=(
        flag("-f", "open files on each filesystem: dentry, inode, path", dest="files"),
        flag("-i", "dirty inodes of each filesystem", dest="inodes"),
        argument("-n", dest="task", metavar="pid|task", help="of this task's mount namespace"),
        argument("what", nargs="?", metavar="filter", help="only what this names"),
    ),
    drgn="""
    from drgn.helpers.linux.fs import for_each_mount, mount_dst
    for mnt in for_each_mount(prog):
        print(mount_dst(mnt))
    """,
)
def mount(session: Session, arguments: argparse.Namespace) -> Lines:
    """The mounts of the current task's namespace.

    A filter is the address of a mount, superblock, dentry or inode, or a device, directory or
    filesystem type. -f looks through the descriptors of all tasks (the list that crash reads went
    away in Linux 3.13), -i through the superblock's inodes.
    """
    session.need_types("mount")
    task = pid_or_task(session, arguments.task) if arguments.task else session.context
    try:
        namespace = task.nsproxy.mnt_ns
        mounts = list(for_each_mount(namespace if namespace else session.program))
    except READ_ERRORS as error:
        raise CommandError(f"the mounts cannot be listed: {error}") from error
    rows = [(one, _row(one)) for one in mounts]
    if arguments.what:
        rows = [pair for pair in rows if _wanted(*pair, arguments.what)]
        if not rows:
            raise CommandError("nothing is mounted that this names", thing=arguments.what)
    yield _HEAD
    found = list(uses(session)) if arguments.files else []
    for one, row in rows:
        if (arguments.files or arguments.inodes) and one is not rows[0][0]:
            yield ""
            yield _HEAD
        yield "{} {} {:<6} {:<9} {}".format(*row)
        superblock = int(row[1], 16)
        if arguments.files:
            yield from _open_files(superblock, found)
        if arguments.inodes:
            yield from _dirty(one.mnt.mnt_sb)


def _row(one: Object) -> tuple[str, str, str, str, str]:
    def read(what: object) -> str:
        try:
            return text(what(one)) or "none"  # type: ignore[operator]
        except READ_ERRORS:
            return "(unreadable)"

    return (
        f"{one.value_():016x}",
        f"{int(one.mnt.mnt_sb):016x}",
        read(mount_fstype),
        read(mount_src),
        read(mount_dst),
    )


def _wanted(one: Object, row: tuple[str, ...], what: str) -> bool:
    if what in row[2:]:
        return True
    try:
        address = int(what, 16)
    except ValueError:
        return False
    known = {one.value_(), int(one.mnt.address_of_()), int(row[1], 16)}
    try:
        known |= {int(one.mnt.mnt_root), int(one.mnt.mnt_root.d_inode)}
        if address in known:
            return True
        # A dentry or an inode of that filesystem.
        program = one.prog_
        for kind in ("dentry", "inode"):
            value = Object(program, f"struct {kind} *", address)
            owner = int(value.d_sb if kind == "dentry" else value.i_sb)
            if owner == int(row[1], 16):
                return True
    except READ_ERRORS:
        pass
    return address in known


def _open_files(superblock: int, found: list[Use]) -> Iterator[str]:
    rows = {
        (use.dentry, use.inode, use.path)
        for use in found
        if use.superblock == superblock and use.how == "fd"
    }
    if not rows:
        yield "OPEN FILES:  (none)"
        return
    yield "OPEN FILES:"
    yield "     DENTRY           INODE       PATH"
    for dentry, inode, path in sorted(rows, key=lambda row: row[2]):
        yield f"{dentry:016x} {inode:016x} {path}"


def _dirty(superblock: Object) -> Iterator[str]:
    found: list[int] = []
    try:
        for number, inode in enumerate(
            list_for_each_entry("struct inode", superblock.s_inodes.address_of_(), "i_sb_list")
        ):
            if int(_state(inode)) & _DIRTY:
                found.append(inode.value_())
            if number > _MOST:
                break
    except READ_ERRORS:
        yield "(the rest of its inodes is not in the dump)"
    yield "DIRTY INODES" + ("" if found else ":  (none)")
    yield from (f"{inode:016x}" for inode in found)


def _state(inode: Object) -> Object:
    """``i_state``; a structure of its own since 7.0 (struct inode_state_flags)."""
    state = inode.i_state
    try:
        return state.__state
    except AttributeError:
        return state
