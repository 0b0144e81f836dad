"""Open what the shell is about: a dump; or, only where that was asked for, the running kernel."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import drgn

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.errors import RefusedError, UnreadableError
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.shell.session import Session
from kautopsy.symbols.ladder import open_program
from kautopsy.symbols.rungs import climb

LOCAL = "local"
_KCORE = Path("/proc/kcore")


def open_session(target: str, *, vmlinux: Path | None = None, debuginfo: bool = True) -> Session:
    """A session on the dump ``target``.

    A dump that cannot be opened is an error, never the running kernel instead.

    :raises UnreadableError: no dump
    """
    opened = open_program(Path(target), vmlinux=vmlinux, debuginfo=debuginfo)
    return Session(opened.program, opened.dump, opened.symbols)


def open_live(*, kcore: Path = _KCORE) -> Session:
    """A session on the running kernel.

    :raises RefusedError: not root, or the kernel is locked down
    :raises UnreadableError: the kernel offers no /proc/kcore
    """
    if os.geteuid() != 0:
        raise RefusedError(
            "the running kernel's memory is root's", thing=LOCAL, slug="not-root", hint="use sudo"
        )
    if not kcore.exists():
        raise UnreadableError(
            "this kernel has no /proc/kcore (CONFIG_PROC_KCORE), or a container hides it",
            thing=LOCAL,
            slug="no-kcore",
        )
    program = drgn.Program()
    try:
        program.set_kernel()
    except PermissionError as error:
        raise RefusedError(
            "the kernel does not let its memory be read",
            thing=LOCAL,
            slug="locked-down",
            hint="lockdown or a security module forbids it",
        ) from error
    except Exception as error:
        raise UnreadableError(
            f"drgn cannot open it: {error}", thing=LOCAL, slug="cannot-open"
        ) from error
    return Session(program, None, _live_symbols(program), live=True)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """drgn warns of debugging information that it does not find: here that is no fault."""
    logger = logging.getLogger("drgn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _live_symbols(program: drgn.Program) -> Symbols:
    notes: list[str] = []
    try:
        with _silent():
            program.load_debug_info(main=True)
    except drgn.MissingDebugInfoError:
        info = VmcoreInfo.decode(program["VMCOREINFO"].string_())
        return Symbols(source=climb(program, info, notes), notes=tuple(notes))
    return Symbols(source=SymbolSource.DWARF)
