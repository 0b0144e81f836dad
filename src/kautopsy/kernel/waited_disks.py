"""Which disk a task that sleeps for I/O waits for, where no request says so.

Bio-based devices (dm, md, and others with ``block_device_operations.submit_bio``) have no requests
of their own. But who waits holds what it waits for: a locked or written page (``struct
wait_page_queue``), a buffer (``struct wait_bit_queue_entry`` whose word is ``buffer_head.b_state``,
its first member), a ``struct bio`` of a slab cache, or, where the bio is on the stack itself, the
block device (an object of ``bdev_cache``, fs/block_dev.c until v5.14, then block/bdev.c). Each of
them leads to its disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drgn import Object, Program, offsetof
from drgn.helpers.linux.block import disk_name, for_each_disk
from drgn.helpers.linux.slab import slab_object_info

from kautopsy.kernel.block import queue_driver
from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.stacked_disks import layers
from kautopsy.kernel.stacks import locate
from kautopsy.kernel.waits import Sleeper, Stacks

_DIRECT_MAP, _IMAGE = 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8000_0000
_DEPTH = 160
"""Words of a stack: from the scheduler to the file system, many times."""


@dataclass(frozen=True)
class Disk:
    """A disk, its driver, and what it lies on.

    :param function: that takes its bios; '' for a disk that works with requests
    :param suspended: see :class:`~kautopsy.kernel.stacked_disks.Layer`
    :param stopped: its driver was told to be given no requests (``blk_mq_quiesce_queue()``)
    :param takes: function and module of the driver that its requests are given to, '' if none
    :param below: the disks under it, from the top
    """

    name: str
    function: str
    module: str | None
    suspended: bool = False
    stopped: bool = False
    takes: tuple[str, str] = ("", "")
    below: tuple[Disk, ...] = ()


def disk_waited_for(stacks: Stacks, sleeper: Sleeper) -> Disk | None:
    """The disk that ``sleeper`` waits for, None if nothing on its stack tells."""
    for source in (_by_queue, _by_slab):
        for disk in source(stacks, sleeper):
            try:
                return _describe(stacks.program, disk)
            except READ_ERRORS:
                continue
    return None


def shut_queue(program: Program, wait_queue: int) -> tuple[Disk, int] | None:
    """The disk whose queue is entered through ``wait_queue``, and how often it is frozen.

    Who comes while ``request_queue.mq_freeze_depth`` is not 0 sleeps in its ``mq_freeze_wq``
    (block/blk-core.c, ``blk_queue_enter``). None for any other wait queue.
    """
    try:
        info = slab_object_info(program, wait_queue)
        if info is None or text(info.slab_cache.name.string_()) != "request_queue":
            return None
        queue = Object(program, "struct request_queue", address=info.address)
        if int(queue.mq_freeze_wq.address_of_()) != wait_queue:
            return None
        disk = next(one for one in for_each_disk(program) if one.queue == queue.address_of_())
        return _describe(program, disk), int(queue.mq_freeze_depth)
    except (*READ_ERRORS, StopIteration):
        return None


def _describe(program: Program, disk: Object) -> Disk:
    name = text(disk_name(disk))
    if not name.isprintable() or not name:
        raise ValueError("no disk")
    top, *below = (
        Disk(
            layer.name,
            *_driver(program, layer.disk),
            layer.suspended,
            _stopped(layer.disk),
            queue_driver(program, layer.disk.queue),
        )
        for layer in layers(disk)
    )
    return replace(top, below=tuple(below))


def _stopped(disk: Object) -> bool:
    try:
        # Since e70feb8b3e68 ("blk-mq: support concurrent queue quiesce/unquiesce", v5.16).
        return int(disk.queue.quiesce_depth) > 0
    except READ_ERRORS:
        return False


def _driver(program: Program, disk: Object) -> tuple[str, str | None]:
    try:
        # struct block_device_operations.submit_bio, since c62b37d96b6e ("block: move
        # ->make_request_fn to struct block_device_operations", v5.9)
        submit = int(disk.fops.submit_bio)
    except AttributeError:
        submit = 0
    frame = locate(program, submit) if submit else None
    return ((frame.function or "") if frame else "", frame.module if frame else None)


def _by_queue(stacks: Stacks, sleeper: Sleeper) -> Iterator[Object]:
    program = stacks.program
    for index in range(1, min(len(sleeper.words) - 1, _DEPTH)):
        if sleeper.words[index] != sleeper.address:
            continue
        entry = sleeper.pointer + 8 * (index - 1)
        wake = stacks.names(sleeper.words[index + 1] + 1)
        try:
            if wake == "wake_page_function":
                around = entry - int(offsetof(program.type("struct wait_page_queue"), "wait"))
                page = Object(program, "struct page *", program.read_u64(around))
                yield _of_page(page)
            elif wake == "wake_bit_function":
                kind = program.type("struct wait_bit_queue_entry")
                state = program.read_u64(entry - int(offsetof(kind, "wq_entry")))
                yield Object(program, "struct buffer_head *", state).b_bdev.bd_disk
        except READ_ERRORS:
            continue


def _of_page(page: Object) -> Object:
    inode = page.mapping.host
    if inode.i_sb.s_bdev:
        return inode.i_sb.s_bdev.bd_disk
    # A page of the block device itself.
    around = int(inode) - int(offsetof(page.prog_.type("struct bdev_inode"), "vfs_inode"))
    return _of_device(page.prog_, around)


def _of_device(program: Program, inode: int) -> Object:
    return Object(program, "struct bdev_inode", address=inode).bdev.bd_disk


def _by_slab(stacks: Stacks, sleeper: Sleeper) -> Iterator[Object]:
    for word in dict.fromkeys(sleeper.words[:_DEPTH]):
        if not _DIRECT_MAP <= word < _IMAGE or word % 8:
            continue
        try:
            info = slab_object_info(stacks.program, word)
            if info is None or not info.allocated:
                continue
            cache = text(info.slab_cache.name.string_())
            if cache == "bdev_cache":
                yield _of_device(stacks.program, info.address)
            if not cache.startswith("bio-"):
                continue
            bio = Object(stacks.program, "struct bio *", word)
            try:
                # Since 309dca309fc3 ("block: store a block_device pointer in struct bio", v5.12).
                yield bio.bi_bdev.bd_disk
            except AttributeError:
                yield bio.bi_disk
        except READ_ERRORS:
            continue
