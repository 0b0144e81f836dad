"""Disks on disks: what a bio-based one (dm, md) lies on, and whether it holds I/O back itself.

Whoever builds a disk on others says so (``bd_link_disk_holder()``, block/holder.c), which is what
``/sys/block/dm-0/slaves`` shows. The list has changed hands: each lower device knew its holders
until v5.14 (``block_device.bd_holder_disks``); since 0dbcfe247f22 ("block: look up holders by
bdev", v5.15) the upper disk knows what it holds (``gendisk.slave_bdevs``), by block device, and
since "block: store the holder kobject in bd_holder_disk" (v6.2) by the kobject of the lower one's
``holders`` directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program, container_of
from drgn.helpers.linux.block import disk_name, for_each_partition
from drgn.helpers.linux.list import list_for_each_entry

from kautopsy.kernel.reading import READ_ERRORS, text, until_unreadable

_DEEPEST = 8
# drivers/md/dm-core.h: DMF_BLOCK_IO_FOR_SUSPEND 0, DMF_SUSPENDED 1
_DM_SUSPENDED = 0b11


@dataclass(frozen=True)
class Layer:
    """One disk of a stack.

    :param disk: ``struct gendisk *``
    :param name: ``dm-0``
    :param suspended: somebody told it to hold I/O back (``dmsetup suspend``), and it still does
    """

    disk: Object
    name: str
    suspended: bool


def layers(disk: Object) -> tuple[Layer, ...]:
    """``disk`` (``struct gendisk *``) and everything below it, from the top; each disk once."""
    found: dict[int, Layer] = {}
    level = [disk]
    for _ in range(_DEEPEST):
        fresh = [one for one in level if int(one) not in found]
        for one in fresh:
            found[int(one)] = Layer(one, text(disk_name(one)), _suspended(one))
        level = [below for one in fresh for below in until_unreadable(_below(one))]
    return tuple(found.values())


def _below(disk: Object) -> Iterator[Object]:
    program = disk.prog_
    try:
        held = disk.slave_bdevs
    except AttributeError:
        yield from _by_lower(program, disk)
        return
    by_directory: dict[int, Object] = {}
    for link in list_for_each_entry("struct bd_holder_disk", held.address_of_(), "list"):
        try:
            yield link.bdev.bd_disk
        except AttributeError:
            if not by_directory:
                by_directory = {int(one.bd_holder_dir): one for one in for_each_partition(program)}
            if int(link.holder_dir) in by_directory:
                yield by_directory[int(link.holder_dir)].bd_disk


def _by_lower(program: Program, disk: Object) -> Iterator[Object]:
    # 5.10 has no list of them any more (all_bdevs), but each is part of an inode.
    at = program.symbol("blockdev_superblock").address
    inodes = Object(program, "struct super_block *", address=at).s_inodes.address_of_()
    for inode in list_for_each_entry("struct inode", inodes, "i_sb_list"):
        device = container_of(inode, "struct bdev_inode", "vfs_inode").bdev
        holders = device.bd_holder_disks.address_of_()
        for link in list_for_each_entry("struct bd_holder_disk", holders, "list"):
            if link.disk == disk:
                yield device.bd_disk


def _suspended(disk: Object) -> bool:
    """Of dm and md only, and only where their module's types are known."""
    program = disk.prog_
    try:
        name = text(disk_name(disk))
        if name.startswith("dm-"):
            mapped = Object(program, "struct mapped_device *", disk.private_data)
            return mapped.disk == disk and bool(int(mapped.flags) & _DM_SUSPENDED)
        if name.startswith("md"):
            array = Object(program, "struct mddev *", disk.private_data)
            return array.gendisk == disk and int(array.suspended) > 0
    except READ_ERRORS:
        pass
    return False
