"""Which kernels the lab knows, and where Debian keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.model.errors import UsageError


@dataclass(frozen=True)
class Series:
    """A kernel series of one Debian suite.

    :param name: the first two numbers of its releases, what ``--kernel`` takes
    :param suite: whose ``linux-image-*-cloud-amd64`` it is
    :param tools: the suite whose kexec and makedumpfile know this kernel. A makedumpfile that does
        not know it guesses, and says so only on the console: bookworm's 1.7.2 with ``-d 31`` loses
        pages on 6.12 and later; trixie's 1.7.6 keeps all of 6.12, free pages too.
    :param dump_level: the highest ``makedumpfile -d`` that loses nothing. sid's 1.7.8 loses a third
        of the tasks of a 7.2 at level 31 and slab pages at level 8; 23 keeps user pages and all
        else.
    """

    name: str
    suite: str
    tools: str = "trixie"
    dump_level: int = 31


_ALL = (
    Series("5.10", "bullseye"),
    Series("6.1", "bookworm"),
    Series("6.12", "trixie", tools="sid"),
    Series("7.2", "sid", tools="sid", dump_level=23),
)
SERIES = {series.name: series for series in _ALL}
DEFAULT = "6.1"


def find_series(name: str) -> Series:
    """The series called ``name``.

    :raises UsageError: the lab knows no such kernel
    """
    try:
        return SERIES[name]
    except KeyError:
        raise UsageError(
            "the lab knows no such kernel",
            thing=name,
            hint=f"choose one of {', '.join(SERIES)}",
            slug="no-such-kernel",
        ) from None
