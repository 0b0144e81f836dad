"""Mounts: what is mounted where, read-only or frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype, mount_src

from kautopsy.kernel.reading import readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

_SB_RDONLY = 1
# enum of include/linux/fs.h: SB_UNFROZEN and the stages of a freeze.
_FREEZE = ("no", "freezing writes", "freezing page faults", "freezing the file system", "frozen")


class Mount(msgspec.Struct, frozen=True):
    """One mount of the initial namespace."""

    source: Annotated[str | Unreadable, Column("device or what stands for it")]
    target: Annotated[str | Unreadable, Column("where")]
    type: Annotated[str | Unreadable, Column("of file system")]
    read_only: Annotated[bool | Unreadable, Column("the file system, not the mount alone")]
    frozen: Annotated[str | Unreadable, Column("no, a stage of freezing, or frozen")]


@table
def mounts(program: Program) -> Iterator[Mount]:
    """Mounted file systems, with their freeze state."""
    for mount in for_each_mount(program):
        yield _row(mount)


def _row(mount: Object) -> Mount:
    block = mount.mnt.mnt_sb

    def frozen() -> str:
        # SB_FREEZE_COMPLETE is 4; the levels are those of sb_writers.
        return _FREEZE[int(block.s_writers.frozen)]

    return Mount(
        source=readable(lambda: text(mount_src(mount))),
        target=readable(lambda: text(mount_dst(mount))),
        type=readable(lambda: text(mount_fstype(mount))),
        read_only=readable(lambda: bool(int(block.s_flags) & _SB_RDONLY)),
        frozen=readable(frozen),
    )
