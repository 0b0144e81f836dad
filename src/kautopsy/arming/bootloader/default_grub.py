"""/etc/default/grub and /etc/default/grub.d: what grub-mkconfig makes kernel lines from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kautopsy.arming import shellfile
from kautopsy.arming.bootloader.words import values_of, words_of
from kautopsy.arming.bootloader.words import with_values as edited

PATH = "/etc/default/grub"
FOLDER = "/etc/default/grub.d"
VARIABLES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")
XEN_VARIABLES = ("GRUB_CMDLINE_XEN", "GRUB_CMDLINE_XEN_DEFAULT")


def with_values(
    text: str, variable: str, name: str, values: Sequence[str], *, goes_on: bool
) -> str:
    """A file's text with ``name=value`` in the last assignment of ``variable`` and nowhere else.

    :param goes_on: it is one of grub.d, which are read after /etc/default/grub
    """
    text = without(text, name, keep=variable)
    return shellfile.edit_words(
        text,
        variable,
        lambda words: edited(words, name, values),
        lambda words: edited(words, name, ()),
        goes_on=goes_on,
    )


def without(text: str, name: str, *, keep: str = "") -> str:
    """A file's text with no ``name=value``, but in the last assignment of ``keep``."""
    for variable in VARIABLES:
        text = shellfile.edit_others(
            text, variable, lambda words: edited(words, name, ()), last=variable != keep
        )
    return text


def at_the_end(text: str, name: str, values: Sequence[str]) -> str:
    """A file's text that adds ``name=value`` to whatever came before it, and nothing else."""
    text = without(text, name)
    words = " ".join(f"{name}={value}" for value in values)
    return shellfile.with_last_line(text, f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {words}"')


def holders(text: str, name: str) -> list[str]:
    """The variables whose last assignment in a file has ``name=value``."""
    return [
        variable
        for variable in VARIABLES
        if values_of(words_of(shellfile.raw_value(text, variable)), name)
    ]


def in_order(paths: Sequence[str]) -> list[str]:
    """The files as grub-mkconfig sources them: the one, then Debian's folder by name."""
    return sorted(paths, key=lambda path: (path != PATH, path))


def arguments(texts: Mapping[str, str], variables: tuple[str, ...] = VARIABLES) -> tuple[str, ...]:
    """The words that a kernel gets once sh has read the files ``texts``."""
    values = shellfile.evaluate(texts[path] for path in in_order(tuple(texts)))
    return words_of(" ".join(values.get(variable, "") for variable in variables))
