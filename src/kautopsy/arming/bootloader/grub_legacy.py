"""GRUB Legacy's grub.conf (el5, el6): ``default``, and ``title`` blocks with ``kernel`` lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kautopsy.arming.bootloader.words import behind, words_of
from kautopsy.arming.bootloader.words import with_values as edited
from kautopsy.model.host import BootEntry, Loader

_LINE = re.compile(r"^\s*(\w+)(?:[ \t]*=[ \t]*|[ \t]+)(.*?)\s*$")

_KERNEL = re.compile(
    r"^(\s*kernel(?:[ \t]*=[ \t]*|[ \t]+)(?:--\S+[ \t]+)*(\S+)[ \t]*)(.*)$", re.DOTALL
)
_XEN = re.compile(r"(?:^|/)xen[^/]*$")
_OTHERS = re.compile(r"(?:^|/)(?:xen|memtest|mboot)[^/]*$")


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
            xen = bool(words) and _XEN.search(words[0]) is not None
            entries[-1] = BootEntry(
                loader=Loader.GRUB_LEGACY,
                source=path,
                title=title,
                arguments=words[1:],
                hypervisor="xen" if xen else "",
            )
    return entries[default] if default < len(entries) else None


def with_values(text: str, name: str, values: Sequence[str]) -> str:
    """grub.conf with ``name=value`` on the ``kernel`` lines that start Linux; Xen's stay."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        match = _KERNEL.match(line)
        if match and not _OTHERS.search(match[2]):
            lines[i] = behind(match[1], edited(match[3], name, values))
    return "\n".join(lines)
