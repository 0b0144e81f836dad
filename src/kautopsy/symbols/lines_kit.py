"""Source lines out of a kit: the kernel's symbols and line tables, without its vmlinux.

A kit keeps which line an address belongs to, not which functions were inlined there, and nothing of
modules: their frames stay as they are.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import drgn

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.elf_writer import elf
from kautopsy.symbols.kit import OpenKit
from kautopsy.symbols.lines import SourceLine, lines_at
from kautopsy.symbols.lines_symbols import KallsymsIndex

_PLATFORM = drgn.Platform(
    drgn.Architecture.X86_64,
    drgn.PlatformFlags.IS_LITTLE_ENDIAN | drgn.PlatformFlags.IS_64_BIT,
)


class KitLines:
    """The lines of a kit's kernel.

    :raises UnreadableError: no kit, a damaged one, or one that was made without a vmlinux
    """

    def __init__(self, path: Path) -> None:
        kit = OpenKit(path)
        sections = kit.lines()
        if not sections:
            raise UnreadableError(
                "the kit has no source lines",
                thing=str(path),
                slug="no-dwarf",
                hint="make one with kautopsy symbols kit --from VMLINUX",
            )
        symbols = kit.symbols(None)
        # Per-CPU offsets and absolute symbols lie below the kernel's text.
        start = min(
            (
                address
                for address, kind in zip(symbols.addresses, symbols.kinds, strict=True)
                if kind in "tT" and address
            ),
            default=0,
        )
        end = max(symbols.addresses) + 1
        self.index = KallsymsIndex(
            zip(symbols.addresses, symbols.names, strict=True), start=start, ends=[end]
        )
        self.program = drgn.Program(_PLATFORM)
        module = self.program.extra_module(str(path), create=True)
        with NamedTemporaryFile(suffix=".debug") as file:
            file.write(elf(bytes.fromhex(kit.about.build_id), sections))
            file.flush()
            module.try_file(file.name, force=True)
        module.address_range = (start, end)
        if module.debug_file_status is not drgn.ModuleFileStatus.HAVE:
            raise UnreadableError("the kit's source lines are damaged", thing=str(path))
        self._path = path

    def add_module(self, name: str, path: Path) -> KallsymsIndex:
        """A kit knows no modules.

        :raises UnreadableError: always
        """
        raise UnreadableError("a kit has no lines of modules", thing=str(self._path))

    def at(self, address: int) -> tuple[SourceLine, ...]:
        """The line of an address; none where nothing is known of it."""
        place = self.index.at(address)
        return tuple(
            SourceLine(place.function if place else None, line.file, line.line, False)
            for line in lines_at(self.program, address)[-1:]
        )
