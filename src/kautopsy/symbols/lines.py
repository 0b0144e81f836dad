"""Source lines out of a vmlinux and its modules: no core, no process, drgn alone.

drgn reads DWARF for whatever addresses a program has; here the program is empty, its modules are
files. A vmlinux keeps the addresses it was linked at. A ``.ko`` is an object file without any:
it gets them, laid out as the kernel's own loader does (layout_sections() in kernel/module/main.c),
so that sizes of functions come out as the kernel prints them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import drgn
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.lines_symbols import KallsymsIndex, of_elf

_ARCHITECTURES = {
    ("EM_X86_64", 64): drgn.Architecture.X86_64,
    ("EM_386", 32): drgn.Architecture.I386,
    ("EM_AARCH64", 64): drgn.Architecture.AARCH64,
    ("EM_ARM", 32): drgn.Architecture.ARM,
    ("EM_PPC64", 64): drgn.Architecture.PPC64,
    ("EM_RISCV", 64): drgn.Architecture.RISCV64,
    ("EM_RISCV", 32): drgn.Architecture.RISCV32,
    ("EM_S390", 64): drgn.Architecture.S390X,
    ("EM_S390", 32): drgn.Architecture.S390,
    ("EM_LOONGARCH", 64): drgn.Architecture.LOONGARCH64,
}
_SHF_ALLOC = 0x2
_SHF_EXECINSTR = 0x4
_PAGE = 4096
_FIRST_MODULE = 1 << 28
"""Below every kernel's own text on the architectures above, above their per-CPU offsets."""


@dataclass(frozen=True)
class SourceLine:
    """One level of inlining at an address.

    :param file: as the compiler saw it, most often relative to the source's root; None if unknown
    :param line: from 1; None if unknown
    :param inline: the function was inlined into the next level's
    """

    function: str | None
    file: str | None
    line: int | None
    inline: bool


@dataclass(frozen=True)
class _Layout:
    sections: dict[str, int]
    text_ends: tuple[int, ...]
    end: int


class ElfLines:
    """The lines of a vmlinux (or any linked ELF file with DWARF) and of modules given later.

    :raises UnreadableError: the file is no ELF file, or has no DWARF
    """

    def __init__(self, image: Path) -> None:
        with _opened(image) as (elf, machine):
            if elf["e_type"] not in ("ET_EXEC", "ET_DYN"):
                raise UnreadableError(
                    "not a linked image",
                    thing=str(image),
                    slug="not-an-image",
                    hint="the kernel's vmlinux is wanted here; modules go with --modules",
                )
            loads = [
                (segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"])
                for segment in elf.iter_segments("PT_LOAD")
                # The per-CPU section of x86-64 kernels before 6.15 is linked at 0.
                if segment["p_vaddr"] and segment["p_memsz"]
            ]
            if not loads:
                raise UnreadableError("nothing to load in it", thing=str(image), slug="not-elf")
            flags = drgn.PlatformFlags(0)
            if elf.little_endian:
                flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
            if elf.elfclass == 64:
                flags |= drgn.PlatformFlags.IS_64_BIT
        self.program = drgn.Program(drgn.Platform(machine, flags))
        module = self.program.extra_module(str(image), create=True)
        # Given a range beforehand drgn would shift the file to it: it is to stay where it is.
        module.try_file(image, force=True)
        start = min(start for start, _ in loads)
        module.address_range = (start, max(end for _, end in loads))
        _require_dwarf(module, image)
        self.index = KallsymsIndex(
            of_elf(self.program.symbols()), start=start, ends=[end for _, end in loads]
        )
        self._machine = machine
        self._next_module = _FIRST_MODULE

    def add_module(self, name: str, path: Path) -> KallsymsIndex:
        """Give a kernel module addresses of its own; its symbols.

        :param name: as the kernel prints it
        :raises UnreadableError: no object file of this architecture, or without DWARF
        """
        base = self._next_module
        with _opened(path) as (elf, machine):
            if machine is not self._machine or elf["e_type"] != "ET_REL":
                raise UnreadableError(
                    "not a module of this kernel", thing=str(path), slug="not-a-module"
                )
            layout = _lay_out(elf, base)
        self._next_module = (layout.end + 2 * _PAGE) & -_PAGE
        module = self.program.relocatable_module(name, base, create=True)
        for section, address in layout.sections.items():
            module.section_addresses[section] = address
        module.try_file(path, force=True)
        module.address_range = (base, layout.end)
        _require_dwarf(module, path)
        symbols = (s for s in self.program.symbols() if base <= s.address < layout.end)
        return KallsymsIndex(of_elf(symbols), start=base, ends=layout.text_ends)

    def at(self, address: int) -> tuple[SourceLine, ...]:
        """The lines of an address, innermost first; none where nothing is known of it."""
        return lines_at(self.program, address)


def lines_at(program: drgn.Program, address: int) -> tuple[SourceLine, ...]:
    """What ``program``'s debugging information says of an address, innermost line first."""
    try:
        locations = list(program.source_location(address))
    except LookupError:
        return ()
    last = len(locations) - 1
    return tuple(
        SourceLine(
            function=location.name(),
            file=location.filename or None,
            line=location.line or None,
            inline=level < last,
        )
        for level, location in enumerate(locations)
    )


class _opened:  # noqa: N801 - a context manager, used as a function
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[ELFFile, drgn.Architecture]:
        self._file = self._path.open("rb")
        try:
            elf = ELFFile(self._file)
            machine = _ARCHITECTURES.get((elf["e_machine"], elf.elfclass))
        except (ELFError, struct.error, ValueError, UnicodeDecodeError) as error:
            self._file.close()
            raise UnreadableError(
                f"not an ELF file: {error}", thing=str(self._path), slug="not-elf"
            ) from error
        return elf, machine or drgn.Architecture.UNKNOWN

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._file.close()
        if kind is not None and issubclass(kind, (ELFError, struct.error)):
            raise UnreadableError(
                f"damaged ELF file: {error}", thing=str(self._path), slug="damaged-elf"
            )


def _require_dwarf(module: drgn.Module, path: Path) -> None:
    if module.debug_file_status is not drgn.ModuleFileStatus.HAVE:
        raise UnreadableError(
            "no debugging information in it",
            thing=str(path),
            slug="no-dwarf",
            hint="it is in the distribution's debuginfo or -dbg package",
        )


def _lay_out(elf: ELFFile, base: int) -> _Layout:
    """Addresses as layout_sections() gives them: text, then the rest, in the file's order."""
    sections: dict[str, int] = {}
    text_ends: list[int] = []
    address = base
    allocated = [s for s in elf.iter_sections() if s["sh_flags"] & _SHF_ALLOC]

    def is_init(name: str) -> bool:
        return name.startswith(".init")

    def is_text(flags: int) -> bool:
        return bool(flags & _SHF_EXECINSTR)

    # Text before data, and what is freed after initialisation in an area of its own.
    for init in (False, True):
        for text in (True, False):
            for section in allocated:
                if is_init(section.name) is not init or is_text(section["sh_flags"]) is not text:
                    continue
                align = max(section["sh_addralign"], 1)
                address = -(-address // align) * align
                sections.setdefault(section.name, address)
                address += section["sh_size"]
            address = -(-address // _PAGE) * _PAGE
            if text:
                text_ends.append(address)
    return _Layout(sections, tuple(text_ends), max(address, base + _PAGE))
