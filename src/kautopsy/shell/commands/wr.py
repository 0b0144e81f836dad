"""``wr``: write memory, over a dump or into the running kernel."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator

from drgn.helpers.linux.mm import follow_phys, virt_to_phys

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of, evaluate
from kautopsy.shell.overlay import Overlay
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session

_MEMORY = "/dev/mem"


@command(
    "wr",
    "write memory",
    usage="[-u|-k|-p] [-8|-16|-32|-64] [address|symbol] value",
    arguments=(
        flag("-u", "the current task's user space", dest="user"),
        flag("-k", "kernel space (as without)", dest="kernel"),
        flag("-p", "a physical address", dest="physical"),
        *(
            argument(f"-{bits}", dest="bits", action="store_const", const=bits, help=f"{bits} bits")
            for bits in (8, 16, 32, 64)
        ),
        argument("words", nargs="*", metavar="address value"),
    ),
)
def wr(session: Session, arguments: argparse.Namespace) -> Lines:
    """Writes a value: 64 bits, or as many as an option says.

    On a dump the write is an overlay: this session sees it, the dump's file stays as it is. wr
    alone lists the overlays. On the running kernel it is real, through /dev/mem, where the kernel
    allows that.
    """
    if not arguments.words:
        yield from _listed(session)
        return
    if len(arguments.words) != 2:
        raise BadArgumentsError("an address and a value are needed", hint="help wr")
    bits = arguments.bits or 64
    address = address_of(session.program, arguments.words[0])
    value = _value(session, arguments.words[1], bits)
    data = value.to_bytes(bits // 8, "little")
    physical = arguments.physical
    if arguments.user:
        try:
            address = int(follow_phys(session.context.mm, address))
        except READ_ERRORS as error:
            raise CommandError("not mapped in user space", thing=arguments.words[0]) from error
        physical = True
    if session.live:
        before = _write_live(session, address, data, physical)
        yield f"{address:x}: {_number(before)} => {_number(data)}  (RUNNING KERNEL)"
        return
    if session.overlay is None:
        session.overlay = Overlay(session.program)
    made = session.overlay.write(address, data, physical=physical)
    yield (
        f"{address:x}: {_number(made.before)} => {_number(data)}  (overlay: the dump's file is "
        "not changed)"
    )


def _listed(session: Session) -> Iterator[str]:
    writes = session.overlay.writes if session.overlay is not None else []
    if not writes:
        yield "nothing was written"
    for one in writes:
        kind = " (physical)" if one.physical else ""
        yield f"{one.address:x}{kind}: {_number(one.before)} => {_number(one.after)}"


def _value(session: Session, text: str, bits: int) -> int:
    """crash reads a bare number as hexadecimal."""
    if re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
        value = int(text, 16)
    else:
        value = int(evaluate(session.program, text).value_())
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise BadArgumentsError(f"does not fit in {bits} bits", thing=text)
    return value & ((1 << bits) - 1)


def _number(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):0{2 * len(data)}x}"


def _write_live(session: Session, address: int, data: bytes, physical: bool) -> bytes:
    program = session.program
    where = address if physical else int(virt_to_phys(program, address))
    before = program.read(address, len(data), physical)
    try:
        memory = os.open(_MEMORY, os.O_RDWR)
        try:
            os.pwrite(memory, data, where)
        finally:
            os.close(memory)
    except OSError as error:
        raise CommandError(
            f"the kernel does not let its memory be written: {error.strerror}",
            thing=_MEMORY,
            hint="CONFIG_STRICT_DEVMEM or lockdown",
        ) from error
    if program.read(address, len(data), physical) != data:
        raise CommandError("the kernel took the write but did not keep it", thing=f"{address:x}")
    return bytes(before)
