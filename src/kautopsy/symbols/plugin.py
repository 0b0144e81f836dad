"""drgn's plug-in: once kautopsy is installed, ``drgn -c vmcore`` needs no debuginfo.

drgn calls ``drgn_prog_set()`` for every program; the finder that it registers comes last, so it is
asked only when no DWARF was found. ``DRGN_DISABLE_PLUGINS=kautopsy`` or
``--no-find-debug-info=kautopsy`` leave it out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import drgn

_LOG = logging.getLogger("drgn.kautopsy")


def drgn_prog_set(prog: drgn.Program) -> None:
    """Offer the dump's own tables to a program that debugs a Linux kernel's dump."""
    prog.register_debug_info_finder("kautopsy", _find, enable_index=-1)


def _find(modules: Sequence[drgn.Module]) -> None:
    from kautopsy.dump.vmcoreinfo import VmcoreInfo
    from kautopsy.model.report import SymbolSource
    from kautopsy.symbols.rungs import NO_LINES, climb

    for module in modules:
        program = module.prog
        flags = program.flags
        if not flags & drgn.ProgramFlags.IS_LINUX_KERNEL or flags & drgn.ProgramFlags.IS_LIVE:
            return
        if isinstance(module, drgn.MainModule) and module.wants_debug_file():
            notes: list[str] = []
            info = VmcoreInfo.decode(program["VMCOREINFO"].string_())
            source = climb(program, info, notes)
            for note in notes:
                _LOG.log(logging.INFO if note == NO_LINES else logging.WARNING, "%s", note)
            if source is SymbolSource.BTF:
                _LOG.info("types and symbols come from the dump's own BTF and kallsyms")
