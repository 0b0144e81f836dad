"""kautopsy: make a Linux machine leave a crash dump, bring it home, and say what it died of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kautopsy.api import Dump

__version__ = "0.1.0"


def open(  # noqa: A001 (it is what one does with a dump)
    path: str | Path, *, vmlinux: str | Path | None = None, debuginfo: bool = True
) -> Dump:
    """A dump's tables, findings and drgn program; see :class:`kautopsy.api.Dump`.

    :param path: a dump, or a directory in which one lies
    :param vmlinux: of exactly this kernel, with debugging information
    :param debuginfo: whether to look for some where ``vmlinux`` is not given
    :raises kautopsy.model.errors.UnreadableError: not a dump that can be opened
    """
    from kautopsy.api import open_path

    return open_path(path, vmlinux=vmlinux, debuginfo=debuginfo)
