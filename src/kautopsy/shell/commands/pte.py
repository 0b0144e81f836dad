"""``pte``: what the bits of a page table entry say."""

from __future__ import annotations

import argparse

from kautopsy.shell.errors import BadArgumentsError
from kautopsy.shell.paging import explained, need_x86
from kautopsy.shell.registry import Lines, argument, command
from kautopsy.shell.session import Session


@command(
    "pte",
    "translate a page table entry",
    usage="contents ...",
    arguments=(argument("contents", nargs="+", help="the entry, hexadecimal"),),
    table=True,
    drgn="""
    entry = 0x80000000bffa6067
    hex(entry & 0x000ffffffffff000)    # physical address; bit 0 present, 1 rw, 2 user, 63 nx
    """,
)
def pte(session: Session, arguments: argparse.Namespace) -> Lines:
    """Physical page and flags of an entry; of one that is swapped out, device and offset."""
    need_x86(session.program)
    for number, text in enumerate(arguments.contents):
        try:
            entry = int(text, 16)
        except ValueError:
            raise BadArgumentsError("an entry is a hexadecimal number", thing=text) from None
        if entry >> 64:
            raise BadArgumentsError("an entry has 64 bits", thing=text)
        if number:
            yield ""
        yield from explained(session.program, entry)
