"""``struct``, ``union``, ``*``: structures, their layout and their contents."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object, sizeof

from kautopsy.shell.context import cpus
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.registry import Argument, Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, declared, member_at, shown, shown_value
from kautopsy.shell.types import aggregate, definition
from kautopsy.shell.words import words_of

_USAGE = (
    "name[.member[,member]] [-f][-u][-l offset][-rfuxdp][-o] [address|symbol][:cpuspec] "
    "[count | -c count]"
)
_ARGUMENTS: tuple[Argument, ...] = (
    argument("name", help="of the structure, and members to show: task_struct.pid,comm"),
    flag("-o", "offsets of the members; with an address, where each one is", dest="offsets"),
    argument("-l", dest="list", metavar="offset", help="the address is of this member (list_head)"),
    flag("-r", "raw memory", dest="raw"),
    flag("-f", "the address is an offset in the dump's file", dest="file"),
    flag("-u", "the address is of the current task's user space", dest="user"),
    flag("-p", "what the members point to, too", dest="pointed"),
    flag("-x", "hexadecimal", dest="hexadecimal"),
    flag("-d", "decimal", dest="decimal"),
    argument("-c", dest="count", metavar="count", help="so many; negative: that lead up to it"),
    argument("where", nargs="*", metavar="address|symbol", help="and how many"),
)
_DRGN = """
    from drgn import Object
    Object(prog, "struct task_struct", address=0xffff...)     # all of it
    Object(prog, "struct task_struct *", 0xffff...).comm      # a member
    prog.type("struct task_struct")                           # its layout
    """


@command("struct", "structure contents", usage=_USAGE, arguments=_ARGUMENTS, drgn=_DRGN)
def struct(session: Session, arguments: argparse.Namespace) -> Lines:
    """The definition of a structure, or with an address its contents.

    ADDRESS:cpuspec shows a per-CPU structure on CPUs 0,2-3, a for all, nothing for the current one.
    The word struct may be left out.
    """
    return _structure(session, arguments, "")


@command("union", "union contents", usage=_USAGE, arguments=_ARGUMENTS, drgn=_DRGN)
def union(session: Session, arguments: argparse.Namespace) -> Lines:
    """As struct, of unions."""
    return _structure(session, arguments, "union")


@command("*", "pointer-to shortcut", usage=_USAGE, arguments=_ARGUMENTS, drgn=_DRGN)
def pointer_to(session: Session, arguments: argparse.Namespace) -> Lines:
    """A shortcut for struct and union: *task_struct.pid ffff..."""
    return _structure(session, arguments, "")


def _structure(session: Session, arguments: argparse.Namespace, kind: str) -> Iterator[str]:
    session.need_types("struct")
    program = session.program
    wanted = Wanted.parse(arguments.name)
    type_ = aggregate(program, wanted.name, kind)
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    if not arguments.where:
        if wanted.members:
            yield from declared(type_, wanted.members, None, radix)
        else:
            yield from definition(type_, offsets=arguments.offsets, radix=radix)
        return
    text, colon, spec = arguments.where[0].partition(":")
    count = _count(arguments)
    size = sizeof(type_)
    if arguments.file:
        yield from _from_file(session, wanted, kind, text, radix)
        return
    address = address_of(program, text)
    if arguments.list is not None:
        address -= _offset(session, arguments.list)
    if count < 0:
        address -= (-count - 1) * size
    places = [(None, address)] if not colon else [
        (cpu, _per_cpu(session, address, cpu)) for cpu in cpus(session, spec)
    ]  # fmt: skip
    for cpu, base in places:
        if cpu is not None:
            yield f"[{cpu}]: {base:x}"
        for at in range(abs(count)):
            if at:
                yield ""
            here = base + at * size
            if arguments.raw:
                yield from words_of(session, here, size, user=arguments.user)
            elif arguments.offsets:
                if wanted.members:
                    yield from declared(type_, wanted.members, here, radix)
                else:
                    yield from definition(type_, offsets=True, base=here, radix=radix)
            elif arguments.user:
                raw = user_bytes(session, here, size)
                value = Object.from_bytes_(program, type_, raw)
                yield from shown_value(value, wanted, radix=radix)
            else:
                yield from shown(
                    program, wanted, here, kind=kind, radix=radix, pointed=arguments.pointed
                )


def user_bytes(session: Session, address: int, size: int) -> bytes:
    """Memory of the current task's user space."""
    from drgn.helpers.linux.mm import access_process_vm

    return access_process_vm(session.context, address, size)


def _per_cpu(session: Session, offset: int, cpu: int) -> int:
    from drgn.helpers.linux.percpu import per_cpu_ptr

    pointer = Object(session.program, "void *", offset & 0xFFFF_FFFF_FFFF_FFFF)
    return int(per_cpu_ptr(pointer, cpu))


def _count(arguments: argparse.Namespace) -> int:
    text = arguments.count or (arguments.where[1] if len(arguments.where) > 1 else "1")
    if len(arguments.where) > 2 or not re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)", text):
        raise BadArgumentsError("invalid count", thing=" ".join(arguments.where[1:]) or text)
    count = int(text, 0)
    if count == 0 or abs(count) > 1 << 20:
        raise BadArgumentsError("invalid count", thing=text)
    return count


def _offset(session: Session, text: str) -> int:
    if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text):
        return int(text, 0)
    wanted = Wanted.parse(text)
    if not wanted.members:
        raise BadArgumentsError("an offset is a number or struct.member", thing=text)
    return member_at(aggregate(session.program, wanted.name), wanted.members[0])[0]


def _from_file(session: Session, wanted: Wanted, kind: str, text: str, radix: int) -> Iterator[str]:
    if session.dump is None:
        raise CommandError("-f is for dumps")
    type_ = aggregate(session.program, wanted.name, kind)
    size = sizeof(type_)
    try:
        offset = int(text, 0) if text.startswith("0x") else int(text, 16)
    except ValueError:
        raise BadArgumentsError("an offset in the file is a number", thing=text) from None
    with open(session.dump.path, "rb") as file:  # noqa: PTH123 - the path is text in the model
        raw = b""
        if offset < 1 << 63:
            file.seek(offset)
            raw = file.read(size)
    if len(raw) < size:
        raise CommandError("is beyond the end of the dump's file", thing=text)
    yield from shown_value(Object.from_bytes_(session.program, type_, raw), wanted, radix=radix)
