"""``tree``: red-black trees, radix trees, XArrays, maple trees."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, shown


@command(
    "tree",
    "display radix tree, XArray, Maple Tree or red-black tree",
    usage="-t [radix|xarray|rbtree|maple] [-r offset] [-[s|S] struct[.member[,member]]] "
    "-[x|d] [-o offset] [-l] [-p] [-N] start",
    raw=True,
)
def tree(session: Session, arguments: argparse.Namespace) -> Lines:
    """The entries of a tree, each by its address; -s shows structures at them, as list does."""
    text = arguments.text
    wanted = [Wanted.parse(word) for word in re.findall(r"(?<!\S)-[sS]\s*(\S+)", text)]
    if "--drgn" in text or not wanted:
        return delegate(session, "tree", text)
    words = re.sub(r"(?<!\S)-[sS]\s*\S+", "", text)
    base = session.base(
        hexadecimal=bool(re.search(r"(?<!\S)-x\b", words)),
        decimal=bool(re.search(r"(?<!\S)-d\b", words)),
    )
    return _with_structures(session, words, wanted, base)


def _with_structures(
    session: Session, words: str, wanted: list[Wanted], radix: int
) -> Iterator[str]:
    for line in delegate(session, "tree", re.sub(r"(?<!\S)-[xd]\b", "", words)):
        yield line
        found = re.match(r"\s*([0-9a-f]{8,16})\b", line)
        if found is None:
            continue
        for one in wanted:
            try:
                yield from shown(session.program, one, int(found[1], 16), radix=radix)
            except (CommandError, *READ_ERRORS) as error:
                if isinstance(error, CommandError):
                    raise
                yield f"  ({reason(error)})"
