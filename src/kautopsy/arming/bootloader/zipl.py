"""s390's /etc/zipl.conf: ``parameters="…"`` lines, one a section.

A value is in double quotes, in single ones, or is the rest of the line (zipl's scan.c,
scan_value_string()); behind a closing quote nothing may stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kautopsy.arming.bootloader.words import with_values as edited
from kautopsy.arming.bootloader.words import words_of
from kautopsy.model.host import BootEntry, Loader

PATH = "/etc/zipl.conf"
_SECTION = re.compile(r"^\s*\[\s*(\S+?)\s*\]")
_DEFAULT = re.compile(r"^\s*default\s*=\s*(\S+)")
_PARAMETERS = re.compile(
    r"""^([ \t]*parameters[ \t]*=[ \t]*)(?:(["'])([^\n]*?)\2|(?!["'])([^\n]*?))([ \t\r]*)$"""
)
_NUMBER = re.compile(r"^\s*(\d+)\s*=\s*(\S+)")


def next_entry(text: str) -> BootEntry | None:
    """The section that ``default`` names, or the first one with parameters."""
    section, default = "", ""
    found: dict[str, BootEntry] = {}
    menu: dict[str, str] = {}
    for line in text.split("\n"):
        if match := _SECTION.match(line):
            section = match[1]
        elif match := _DEFAULT.match(line):
            default = default or match[1].strip("\"'")
        elif match := _NUMBER.match(line):
            menu.setdefault(match[1], match[2].strip("\"'"))
        elif (match := _PARAMETERS.match(line)) and section not in found:
            found[section] = BootEntry(
                loader=Loader.ZIPL,
                source=PATH,
                title=section,
                arguments=words_of(match[3] if match[2] else match[4]),
            )
    return found.get(menu.get(default, default)) or next(iter(found.values()), None)


def with_values(text: str, name: str, values: Sequence[str]) -> str:
    """The file's text with ``name=value`` on every ``parameters`` line."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if match := _PARAMETERS.match(line):
            sign = match[2] or ""
            words = edited(match[3] if sign else match[4], name, values)
            # Of the rest of a line zipl takes a quote that begins it for one that must end.
            lines[i] = match[1] + sign + words + sign + match[5]
    return "\n".join(lines)
