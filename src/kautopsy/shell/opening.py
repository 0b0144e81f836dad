"""Open what the shell is about: a dump; or, only where that was asked for, the running kernel."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import drgn

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.model.errors import RefusedError, UnreadableError
from kautopsy.model.report import Symbols, SymbolSource
from kautopsy.shell.session import Session
from kautopsy.symbols.cache import default_cache
from kautopsy.symbols.engine import read_symbols
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError
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
    if opened.symbols.source is SymbolSource.DWARF:
        _name_as_the_kernel(opened.program)
    return Session(opened.program, opened.dump, opened.symbols)


def _name_as_the_kernel(program: drgn.Program) -> None:
    """Name addresses by kallsyms, as the kernel's own messages and crash do.

    An ELF file's symbols have sizes, and drgn prefers those that contain an address: it knows
    ``entry_SYSCALL_64+0xaf`` where all others say ``entry_SYSCALL_64_after_hwframe+0x76``. The
    table is read when the first address is asked for.
    """
    table: list[KernelSymbols | None] = []

    def load() -> KernelSymbols | None:
        try:
            info = VmcoreInfo.decode(program["VMCOREINFO"].string_())
            return KernelSymbols(read_symbols(program, info, default_cache()))
        except (KallsymsError, *READ_ERRORS):
            return None

    def find(
        program: drgn.Program, name: str | None, address: int | None, one: bool
    ) -> list[drgn.Symbol]:
        if address is None:
            return []
        if not table:
            table.append(None)  # what is asked while it is read
            table[0] = load()
        return table[0].find_symbols(program, name, address, one) if table[0] is not None else []

    program.register_symbol_finder("kautopsy.addresses", find, enable_index=0)


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
