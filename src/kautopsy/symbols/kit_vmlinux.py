"""A kit made from a vmlinux with DWARF: types, symbols, and the line tables without the rest.

Of 500 MB to 1 GB of DWARF the kit keeps ``.debug_line`` as it is, and in place of
``.debug_info`` one bare unit for each of the compiler's, which says where its line table and its
code are: libdrgn finds ``file:line`` by that, though no inline frames and no locals.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.btf.parse import parse
from kautopsy.symbols.elf_writer import uleb
from kautopsy.symbols.finder.elf import identify, kernel_release
from kautopsy.symbols.kallsyms import Kallsyms
from kautopsy.symbols.kit import Kit, KitAbout

_UNIT = 0x11  # DW_TAG_compile_unit
_NAME, _STMT_LIST, _COMP_DIR, _RANGES = 0x03, 0x10, 0x1B, 0x55
_STRING, _SEC_OFFSET = 0x08, 0x17
_ABBREVIATION = bytes(
    (
        *(1, _UNIT, 0),
        *(_STMT_LIST, _SEC_OFFSET, _NAME, _STRING, _COMP_DIR, _STRING, _RANGES, _SEC_OFFSET),
        *(0, 0, 0),
    )
)


def make(vmlinux: Path) -> Kit:
    """Read a vmlinux.

    :raises UnreadableError: no ELF file, no build-id, no symbols, or no BTF
    """
    identity = identify(vmlinux)
    if identity is None or identity.build_id is None:
        raise UnreadableError(
            "is no ELF file with a build-id", thing=str(vmlinux), slug="bad-vmlinux"
        )
    try:
        with vmlinux.open("rb") as file:
            elf = ELFFile(file)
            symbols = _symbols(elf)
            btf = elf.get_section_by_name(".BTF")
            if not len(symbols) or btf is None or btf["sh_type"] == "SHT_NOBITS":
                raise UnreadableError(
                    "has no symbols or no BTF", thing=str(vmlinux), slug="bad-vmlinux"
                )
            blob = btf.data()
            parse(blob)
            lines = _lines(elf) if identity.has_dwarf and elf["e_machine"] == "EM_X86_64" else {}
    except (ELFError, OSError, struct.error) as error:
        raise UnreadableError(
            f"cannot be read: {error}", thing=str(vmlinux), slug="bad-vmlinux"
        ) from error
    return Kit(
        about=KitAbout(
            build_id=identity.build_id,
            release=kernel_release(vmlinux) or "unknown",
            origin=vmlinux.name,
            first_address=symbols.addresses[0],
        ),
        symbols=symbols,
        btf={"vmlinux": blob},
        lines=lines,
    )


def _symbols(elf: ELFFile) -> Kallsyms:
    """What scripts/kallsyms.c would keep of ``.symtab``, in the order of addresses."""
    table = elf.get_section_by_name(".symtab")
    rows = []
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        kind, bind, section = (
            symbol["st_info"]["type"],
            symbol["st_info"]["bind"],
            symbol["st_shndx"],
        )
        name = symbol.name
        if section == "SHN_UNDEF" or kind in ("STT_SECTION", "STT_FILE") or not name:
            continue
        if name.startswith(("$", ".L", "__crc_", "__kstrtab_", "__ksymtab_")):
            continue
        if section == "SHN_ABS":
            letter = "a"
        elif bind == "STB_WEAK":
            letter = "w"
        else:
            flags = elf.get_section(section)["sh_flags"]
            letter = "t" if flags & 4 else "d" if flags & 1 else "r"
        rows.append((symbol["st_value"], letter if bind == "STB_LOCAL" else letter.upper(), name))
    rows.sort(key=lambda row: (row[0], row[1] == "W", row[2].startswith("__")))
    return Kallsyms(
        [name for _, _, name in rows],
        "".join(letter for _, letter, _ in rows),
        array("Q", [address for address, _, _ in rows]),
    )


def _lines(elf: ELFFile) -> dict[str, bytes]:
    """``.debug_line`` and bare units that lead to it."""
    dwarf = elf.get_dwarf_info(relocate_dwarf_sections=False)
    info = bytearray()
    ranges = bytearray()
    aranges = bytearray()
    covered = _covered(dwarf)
    for unit in dwarf.iter_CUs():
        code = covered.get(unit.cu_offset)
        top = unit.get_top_DIE()
        table = top.attributes.get("DW_AT_stmt_list")
        if not code or table is None:
            continue
        name, folder = (
            attribute.value if (attribute := top.attributes.get(key)) is not None else b""
            for key in ("DW_AT_name", "DW_AT_comp_dir")
        )
        at = len(info)
        body = struct.pack("<HIB", 4, 0, 8) + uleb(1) + struct.pack("<I", table.value)
        body += name + b"\0" + folder + b"\0" + struct.pack("<I", len(ranges))
        info += struct.pack("<I", len(body)) + body
        for start, size in code:
            ranges += struct.pack("<QQ", start, start + size)
        ranges += bytes(16)
        entry = struct.pack("<HIBB", 2, at, 8, 0) + bytes(4)
        entry += b"".join(struct.pack("<QQ", start, size) for start, size in code) + bytes(16)
        aranges += struct.pack("<I", len(entry)) + entry
    found = {
        "debug_abbrev": _ABBREVIATION,
        "debug_info": bytes(info),
        "debug_ranges": bytes(ranges),
        "debug_aranges": bytes(aranges),
    }
    for name in ("debug_line", "debug_line_str", "debug_str"):
        section = elf.get_section_by_name("." + name)
        # .debug_str is only for line tables of version 5 that refer to it; gcc's never do.
        if section is not None and name != "debug_str":
            found[name] = section.data()
    return found


def _covered(dwarf: object) -> dict[int, list[tuple[int, int]]]:
    """Offset of a unit → (start, size) of its code, from ``.debug_aranges``."""
    found: dict[int, list[tuple[int, int]]] = {}
    table = dwarf.get_aranges()  # type: ignore[attr-defined]
    for entry in table.entries if table is not None else ():
        if entry.length and entry.begin_addr:
            found.setdefault(entry.info_offset, []).append((entry.begin_addr, entry.length))
    return found
