"""Who has which file open: tasks, their descriptors, working directories, mappings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object
from drgn.helpers.linux.fs import d_path, for_each_file
from drgn.helpers.linux.mm import for_each_vma

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.context import all_tasks, is_kernel
from kautopsy.shell.session import Session


@dataclass(frozen=True)
class Use:
    """One way in which a task uses a file.

    :param task: ``struct task_struct *``
    :param how: ``fd``, ``root``, ``cwd``, ``exe`` or ``mmap``
    :param inode: address of the inode
    :param dentry: ``struct dentry *``
    :param superblock: address of the super_block
    :param path: as seen from the root of the mount namespace
    :param fd: descriptor, None for what is none
    """

    task: Object
    how: str
    inode: int
    dentry: int
    superblock: int
    path: str
    fd: int | None = None


def uses(session: Session) -> Iterator[Use]:
    """All uses of files by the threads of user space."""
    for task in all_tasks(session.program):
        if not is_kernel(task):
            yield from uses_of(task)


def uses_of(task: Object) -> Iterator[Use]:
    """What one task uses; what the dump lacks is left out."""
    paths: list[tuple[str, Object, int | None]] = []
    try:
        paths.append(("root", task.fs.root, None))
        paths.append(("cwd", task.fs.pwd, None))
    except READ_ERRORS:
        pass
    try:
        if task.mm and task.mm.exe_file:
            paths.append(("exe", task.mm.exe_file.f_path, None))
    except READ_ERRORS:
        pass
    try:
        for fd, file in for_each_file(task):
            paths.append(("fd", file.f_path, fd))
    except READ_ERRORS:
        pass
    try:
        if task.mm:
            seen: set[int] = set()
            for vma in for_each_vma(task.mm):
                file = vma.vm_file.read_()
                if file and file.value_() not in seen:
                    seen.add(file.value_())
                    paths.append(("mmap", file.f_path, None))
    except READ_ERRORS:
        pass
    for how, path, number in paths:
        try:
            dentry = path.dentry.read_()
            inode = int(dentry.d_inode)
            superblock = int(path.mnt.mnt_sb)
        except READ_ERRORS:
            continue
        try:
            name = text(d_path(path))
        except READ_ERRORS:
            name = "(unreadable)"
        yield Use(task, how, inode, dentry.value_(), superblock, name, number)
