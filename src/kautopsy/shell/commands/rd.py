"""``rd``: read memory."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn.helpers.linux.mm import phys_to_virt

from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session


@command(
    "rd",
    "read memory",
    usage="[-adDsSupxmfN][-8|-16|-32|-64][-o offs][-e addr][-r file][address|symbol] [count]",
    raw=True,
    drgn="""
    prog.read(0xffff..., 64)          # bytes
    prog.read_u64(0xffff...)          # a number
    """,
)
def rd(session: Session, arguments: argparse.Namespace) -> Lines | None:
    """Memory in words of 64, 32, 16 or 8 bits, as text (-a), with symbols (-s) and slabs (-S).

    With -f the address is an offset in the dump's file. -m, of Xen's hypervisor, is not known.
    """
    text = arguments.text
    # Expressions in parentheses, and symbols with offsets, are ours to work out.
    for found in re.findall(r"\([^)]*\)|(?<!\S)[A-Za-z_]\w*\+(?:0x)?[0-9a-fA-F]+(?!\S)", text):
        try:
            text = text.replace(found, f"{address_of(session.program, found):x}")
        except CommandError:
            raise CommandError("not a symbol or address", thing=found) from None
    if re.search(r"(?<!\S)-[a-zA-Z]*f", text):
        return _file(session, text)
    if re.search(r"(?<!\S)-[a-zA-Z]*p", text):
        return _physical(session, text)
    if re.search(r"(?<!\S)-[a-zA-Z]*a", text):
        text = re.sub(r"(?<!\S)-8(?!\S)", "", text)  # characters are bytes
    if not re.search(r"(?<!\S)-(?:16|32)(?!\S)", text):
        text = re.sub(r"(?<!\S)-N(?!\S)", "", text)  # of 16 and 32 bits only, says crash's help
    return _bare(delegate(session, "rd", text))


def _bare(lines: Iterator[str]) -> Iterator[str]:
    """``init_task``, not ``init_task+0``."""
    for line in lines:
        yield re.sub(r"(?<=\s)([A-Za-z_][\w.]*)\+0(?=\s|$)", r"\1", line)


def _physical(session: Session, text: str) -> Iterator[str]:
    """``-p``: read through the direct map, since drgn 0.3's own asks for virtual addresses."""
    words = re.sub(r"(?<!\S)-p(?!\S)", "", text).split()
    base = int(phys_to_virt(session.program, 0))
    moved = [
        f"{int(word, 16) + base:x}"
        if re.fullmatch(r"(0x)?[0-9a-fA-F]+", word) and not _is_count(words, at)
        else word
        for at, word in enumerate(words)
    ]
    for line in delegate(session, "rd", " ".join(moved)):
        found = re.match(r"([0-9a-f]+)(:.*)", line)
        yield f"{int(found[1], 16) - base:>16x}{found[2]}" if found else line


def _is_count(words: list[str], at: int) -> bool:
    """Whether a number is no address: it follows one, or -o."""
    if at and words[at - 1] in ("-o",):
        return True
    numbers = [i for i, word in enumerate(words) if re.fullmatch(r"(0x)?[0-9a-fA-F]+", word)]
    return at != numbers[0] and words[at - 1] not in ("-e",)


def _file(session: Session, text: str) -> Lines:
    """``-f``: the address is an offset in the dump's file."""
    import struct

    if session.dump is None:
        raise CommandError("-f is for dumps")
    words = [word for word in text.split() if not word.startswith("-")]
    try:
        offset = int(words[0], 16)
        count = int(words[1], 0) if len(words) > 1 else 1
    except (IndexError, ValueError):
        raise CommandError("an offset in the file and a count are needed", thing=text) from None
    with open(session.dump.path, "rb") as file:  # noqa: PTH123 - the path is text in the model
        raw = b""
        if offset < 1 << 63:
            file.seek(offset)
            raw = file.read(8 * min(count, 1 << 24))
    if not raw:
        raise CommandError("is beyond the end of the dump's file", thing=words[0])
    for at in range(0, len(raw) // 8 * 8, 16):
        part = raw[at : at + 16]
        values = " ".join(f"{word:016x}" for (word,) in struct.iter_unpack("<Q", part))
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{offset + at:16x}:  {values:<33}   {shown}"
