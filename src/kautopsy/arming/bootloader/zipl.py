"""s390's /etc/zipl.conf: ``parameters="…"`` lines, one a section."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kautopsy.arming.bootloader.words import with_values as edited
from kautopsy.arming.bootloader.words import words_of
from kautopsy.model.host import BootEntry, Loader

PATH = "/etc/zipl.conf"
_SECTION = re.compile(r"^\s*\[\s*(\S+?)\s*\]")
_DEFAULT = re.compile(r"^\s*default\s*=\s*(\S+)")
_PARAMETERS = re.compile(r"^([ \t]*parameters[ \t]*=[ \t]*)(\"?)(.*?)(\"?[ \t]*)$", re.DOTALL)


def next_entry(text: str) -> BootEntry | None:
    """The section that ``default`` names, or the first one with parameters."""
    section, default = "", ""
    found: dict[str, BootEntry] = {}
    for line in text.split("\n"):
        if match := _SECTION.match(line):
            section = match[1]
        elif match := _DEFAULT.match(line):
            default = default or match[1]
        elif (match := _PARAMETERS.match(line)) and section not in found:
            found[section] = BootEntry(
                loader=Loader.ZIPL, source=PATH, title=section, arguments=words_of(match[3])
            )
    return found.get(default) or next(iter(found.values()), None)


def with_values(text: str, name: str, values: Sequence[str]) -> str:
    """The file's text with ``name=value`` on every ``parameters`` line."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if match := _PARAMETERS.match(line):
            lines[i] = match[1] + match[2] + edited(match[3], name, values) + match[4]
    return "\n".join(lines)
