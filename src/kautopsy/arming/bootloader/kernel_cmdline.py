"""/etc/kernel/cmdline (kernel-install): words, over several lines if need be, and comments."""

from __future__ import annotations

from collections.abc import Sequence

from kautopsy.arming.bootloader.words import values_of, words_of
from kautopsy.arming.bootloader.words import with_values as edited


def with_values(text: str, name: str, values: Sequence[str]) -> str:
    """The file's text with ``name=value`` on the line that has it, or else on the last one."""
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    if not places:
        return edited("", name, values) + "\n" + text
    having = [i for i in places if values_of(words_of(lines[i]), name)]
    place = having[0] if having else places[-1]
    for i in having[1:]:
        lines[i] = edited(lines[i], name, ())
    lines[place] = edited(lines[place], name, values)
    return "\n".join(lines)
