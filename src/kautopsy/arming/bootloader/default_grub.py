"""/etc/default/grub and /etc/default/grub.d: what grub-mkconfig makes kernel lines from."""

from __future__ import annotations

from collections.abc import Sequence

from kautopsy.arming import shellfile
from kautopsy.arming.bootloader.words import values_of, words_of
from kautopsy.arming.bootloader.words import with_values as edited

VARIABLES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")


def with_values(
    text: str, variable: str, name: str, values: Sequence[str], *, goes_on: bool
) -> str:
    """A file's text with ``name=value`` in the last assignment of ``variable`` and nowhere else.

    :param goes_on: it is one of grub.d, which are read after /etc/default/grub
    """
    text = without(text, name, keep=variable)
    return shellfile.edit_words(
        text, variable, lambda words: edited(words, name, values), goes_on=goes_on
    )


def without(text: str, name: str, *, keep: str = "") -> str:
    """A file's text with no ``name=value``, but in the last assignment of ``keep``."""
    for variable in VARIABLES:
        text = shellfile.edit_others(
            text, variable, lambda words: edited(words, name, ()), last=variable != keep
        )
    return text


def holders(text: str, name: str) -> list[str]:
    """The variables whose last assignment in a file has ``name=value``."""
    return [
        variable
        for variable in VARIABLES
        if values_of(words_of(shellfile.raw_value(text, variable)), name)
    ]
