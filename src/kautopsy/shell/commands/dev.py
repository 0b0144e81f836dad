"""``dev``: devices, their drivers, I/O ports, disks; dumps that drivers left."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.delegate import delegate
from kautopsy.shell.devicedumps import DeviceDump, device_dumps
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session

_MOST_DEEP = 64


@command(
    "dev",
    "device data",
    usage="[-i | -p | -d | -D] [-V | -v index] [file]",
    arguments=(
        flag("-i", "I/O ports", dest="ports"),
        flag("-p", "PCI devices", dest="pci"),
        flag("-d", "disks and their requests in flight", dest="disks"),
        flag("-D", "only disks with requests in flight", dest="busy"),
        flag("-V", "the dumps that device drivers left in this one", dest="dumps"),
        argument("-v", dest="dump", type=int, metavar="index", help="one of them"),
        argument("file", nargs="?", help="with -v: write it there"),
    ),
    table=True,
    delegates=True,
)
def dev(session: Session, arguments: argparse.Namespace) -> Lines:
    """Character and block devices with their operations, or what an option names."""
    if arguments.dumps:
        return _dumps(session)
    if arguments.dump is not None:
        return _dump(session, arguments.dump, arguments.file)
    if arguments.file:
        raise BadArgumentsError("a file goes with -v", thing=arguments.file)
    if arguments.ports:
        return _resources(session)
    lines = delegate(session, "dev", arguments.text)
    if arguments.disks or arguments.busy:
        # As crash: RAM disks and loop devices have no hardware that could hang.
        return (line for line in lines if not re.search(r"\s(?:loop|ram)\d+\s", line))
    return lines


def _resources(session: Session) -> Iterator[str]:
    """I/O ports, then I/O memory: the trees of struct resource, parents before children."""
    session.need_types("dev -i")
    for name, digits in (("ioport_resource", 4), ("iomem_resource", 8)):
        try:
            root = session.program[name].address_of_()
        except LookupError:
            root = Object(
                session.program, "struct resource *", session.program.symbol(name).address
            )
        yield "    RESOURCE        RANGE    NAME"
        yield from _resource(root, digits, 0)
        yield ""


def _resource(resource: Object, digits: int, depth: int) -> Iterator[str]:
    while resource and depth < _MOST_DEEP:
        try:
            name = text(resource.name.string_())
        except READ_ERRORS:
            name = "(unreadable)"
        low, high = int(resource.start), int(resource.end)
        yield f"{resource.value_():016x}  {low:0{digits}x}-{high:0{digits}x}  {name}"
        yield from _resource(resource.child.read_(), digits, depth + 1)
        if depth == 0:
            return
        resource = resource.sibling.read_()


def _found(session: Session) -> list[DeviceDump]:
    if session.dump is None:
        raise CommandError("device dumps are in dumps, and this is the running kernel")
    found = device_dumps(session.dump)
    if not found:
        raise CommandError("no device dumps in this one", hint="drivers leave them in ELF vmcores")
    return found


def _dumps(session: Session) -> Iterator[str]:
    found = _found(session)
    yield "INDEX  OFFSET            SIZE              NAME"
    for index, one in enumerate(found):
        yield f"{index:<5}  0x{one.offset:<14x}  0x{one.size:<14x}  {one.name}"


def _dump(session: Session, index: int, file: str | None) -> Iterator[str]:
    import struct
    from pathlib import Path

    found = _found(session)
    if not 0 <= index < len(found):
        raise CommandError("no device dump has this index", thing=str(index), hint="dev -V")
    one = found[index]
    data = one.read()
    yield f"DEVICE: {one.name}"
    if file:
        Path(file).expanduser().write_bytes(data)
        yield f"{len(data)} bytes written to {file}"
        return
    for at in range(0, len(data) // 8 * 8, 16):
        part = data[at : at + 16]
        words = " ".join(f"{word:016x}" for (word,) in struct.iter_unpack("<Q", part))
        shown = re.sub(r"[^ -~]", ".", part.decode("latin-1"))
        yield f"{one.offset + at:16x}:  {words:<33}   {shown}"
