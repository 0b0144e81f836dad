"""``list``: linked lists."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, member_at, shown
from kautopsy.shell.types import aggregate

_MEMBER = re.compile(r"[A-Za-z_]\w*\.\w+")
_POISON = {0xDEAD000000000100, 0xDEAD000000000122, 0xDEAD000000000200}


@command(
    "list",
    "linked list",
    usage="[[-o] offset] [-e end] [-[s|S] struct[.member[,member]] [-l offset]] [-[x|d]] [-r|-B] "
    "[-h [-O head_offset]|-H] start",
    arguments=(
        argument("-o", dest="offset", help="of the next pointer: a number or struct.member"),
        argument("-e", dest="end", help="address or value that ends the list; 0 does anyway"),
        argument("-s", dest="structs", action="append", default=[], metavar="struct[.member]",
                 help="show this structure, or some of its members, for each entry"),
        argument("-S", dest="quick", action="append", default=[], metavar="struct.member",
                 help="as -s"),
        argument("-l", dest="list_offset", metavar="offset",
                 help="with -s: the list_head's offset in the structure"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        flag("-r", "backwards, by list_head.prev", dest="reverse"),
        flag("-B", "find loops by Brent's algorithm (they are always found)", dest="brent"),
        flag("-h", "start is a structure in the list; the list_head at offset is embedded in it",
             dest="embedded"),
        flag("-H", "start is a list_head of its own, whose entries are wanted", dest="head"),
        argument("-O", dest="head_offset", help="with -h: the offset of the head in start"),
        argument("words", nargs="+", metavar="start", help="an address, symbol or expression"),
    ),
    drgn='''
    from drgn.helpers.linux.list import list_for_each_entry
    for entry in list_for_each_entry("struct module", prog["modules"].address_of_(), "list"):
        print(entry)
    ''',
)  # fmt: skip
def list_(session: Session, arguments: argparse.Namespace) -> Lines:
    """The entries of a linked list, each by its address.

    Without -h or -H start is an entry, whose pointer at offset leads to the next one, and so on.
    A list that is overwritten ends with what is wrong with it.
    """
    words = list(arguments.words)
    if len(words) == 2 and arguments.offset is None:
        # -h START OFFSET and OFFSET START are both in use.
        last = bool(_MEMBER.match(words[1])) and not _MEMBER.match(words[0])
        arguments.offset = words.pop(1 if last else 0)
    elif len(words) == 2 and (_MEMBER.match(words[0]) or words[0].isdecimal()):
        raise BadArgumentsError("two offsets are given", thing=words[0])
    if len(words) != 1:
        raise BadArgumentsError("one start address is needed", thing=" ".join(words))
    if arguments.head and arguments.embedded:
        raise BadArgumentsError("-h and -H are mutually exclusive")
    session.need_types("list")
    offset = offset_of(session, arguments.offset) if arguments.offset else 0
    start = address_of(session.program, words[0])
    end = int(arguments.end, 16) if arguments.end else None
    wanted = [Wanted.parse(text) for text in arguments.structs]
    quick = [Wanted.parse(text) for text in arguments.quick]
    shift = offset_of(session, arguments.list_offset) if arguments.list_offset else 0
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    for address in _walk(session, arguments, start, offset, end):
        yield f"{address:x}"
        for one in (*wanted, *quick):
            try:
                for line in shown(session.program, one, address - shift, radix=radix):
                    yield line.rstrip(",") if one in quick and one.members else line
            except READ_ERRORS as error:
                yield f"  ({reason(error)})"


def offset_of(session: Session, text: str) -> int:
    """Bytes: a number (of hexadecimal digits: hexadecimal), or where ``struct.member`` lies.

    :raises CommandError: neither
    """
    if re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
        return int(text) if text.isdecimal() else int(text, 16)
    wanted = Wanted.parse(text)
    if not wanted.members:
        raise BadArgumentsError("an offset is a number or struct.member", thing=text)
    return member_at(aggregate(session.program, wanted.name), wanted.members[0])[0]


def _walk(
    session: Session, arguments: argparse.Namespace, start: int, offset: int, end: int | None
) -> Iterator[int]:
    """Addresses of entries: of the structures where offsets are embedded, else of the links."""
    read = session.program.read_u64
    link = 8 if arguments.reverse else 0
    if arguments.head:
        first = _next(read, start + link)
        current, back = first, start
        minus = offset
    elif arguments.embedded:
        wanted = arguments.head_offset
        back = head = start + (offset_of(session, wanted) if wanted else offset)
        minus = offset
        if arguments.head_offset:
            current = _next(read, head + link)
        else:
            current = start + offset
            back = 0
    else:
        current, back, minus = start, 0, 0
    seen: set[int] = set()
    first_seen = current
    while current and current != back and current != end:
        if current in _POISON:
            raise CommandError("the list leads into a deleted entry (LIST_POISON)",
                               thing=f"{current:x}")  # fmt: skip
        if current in seen:
            if current != first_seen:
                raise CommandError("duplicate list entry", thing=f"{current:x}")
            return
        seen.add(current)
        yield current - minus
        step = link if arguments.head or arguments.embedded else offset + link
        current = _next(read, current + step)


def _next(read: object, address: int) -> int:
    try:
        return int(read(address))  # type: ignore[operator]
    except READ_ERRORS as error:
        raise CommandError(
            "invalid list entry: its memory is not in the dump", thing=f"{address:x}"
        ) from error
