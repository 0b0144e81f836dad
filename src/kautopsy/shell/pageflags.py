"""Pages in crash's form: drgn's table, with the names of flags that the kernel prints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.delegate import delegate
from kautopsy.shell.session import Session


def page_lines(session: Session, words: str) -> Iterator[str]:
    """The lines of ``kmem words``, where they are of pages.

    Several flags share a bit: the first in ``enum pageflags`` is the page's, later ones
    (``PG_movable_ops``, ``PG_reported``) are aliases for pages of one kind, and the kernel's own
    ``pageflag_names`` leaves them out.
    """
    aliases = session.cached("page_flag_aliases", lambda: _aliases(session.program))
    assert isinstance(aliases, frozenset)
    for line in delegate(session, "kmem", words):
        found = re.match(r"(\s*[0-9a-f]{16}\s+[0-9a-f]+\s.*\s[0-9a-f]+) ([a-z_0-9,]+)$", line)
        if found is None:
            yield line
            continue
        names = [one for one in found[2].split(",") if one != "0" and one not in aliases]
        yield f"{found[1]} {','.join(names)}".rstrip()


def _aliases(program: Program) -> frozenset[str]:
    try:
        enumerators = program.type("enum pageflags").enumerators or ()
    except READ_ERRORS:
        return frozenset()
    bits: set[int] = set()
    found: set[str] = set()
    for one in enumerators:
        if one.value in bits:
            found.add(one.name.removeprefix("PG_").lower())
        bits.add(one.value)
    return frozenset(found)
