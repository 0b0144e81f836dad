"""GRUB Legacy's grub.conf (el5, el6): ``default``, and ``title`` blocks with ``kernel`` lines."""

from __future__ import annotations

import re

from kautopsy.arming.bootloader.words import words_of
from kautopsy.model.host import BootEntry, Loader

_LINE = re.compile(r"^\s*(\w+)(?:[ \t]*=[ \t]*|[ \t]+)(.*?)\s*$")


def next_entry(path: str, text: str) -> BootEntry | None:
    """The entry that ``default`` names by its number; the first one without, or with ``saved``."""
    default = 0
    entries: list[BootEntry] = []
    title = ""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        keyword, rest = match[1], match[2]
        if keyword == "title":
            title = rest
            entries.append(
                BootEntry(loader=Loader.GRUB_LEGACY, source=path, title=title, arguments=())
            )
        elif keyword == "default" and not entries:
            default = int(rest) if rest.isascii() and rest.isdecimal() and len(rest) < 5 else 0
        elif keyword == "kernel" and entries:
            words = words_of(rest)
            # Options of GRUB's own (--type=...) come before the file's name.
            while words and words[0].startswith("--"):
                words = words[1:]
            entries[-1] = BootEntry(
                loader=Loader.GRUB_LEGACY, source=path, title=title, arguments=words[1:]
            )
    return entries[default] if default < len(entries) else None
