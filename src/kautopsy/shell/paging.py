"""Page tables of x86-64, walked as the processor would: what each entry says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Architecture, Object, Program

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import CommandError

START_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
"""Where the kernel's image is mapped (arch/x86/include/asm/page_64_types.h)."""
PHYSICAL_MASK = 0x000F_FFFF_FFFF_F000
"""Bits 12 to 51 of an entry; bit 63 is NX, 59 to 62 are protection keys."""
# arch/x86/include/asm/pgtable_types.h
FLAGS = (
    (0, "PRESENT"), (1, "RW"), (2, "USER"), (3, "PWT"), (4, "PCD"), (5, "ACCESSED"), (6, "DIRTY"),
    (7, "PSE"), (8, "GLOBAL"), (63, "NX"),
)  # fmt: skip
_PRESENT, _PSE, _PROTNONE = 1, 1 << 7, 1 << 8


@dataclass(frozen=True)
class Level:
    """One entry on the way.

    :param name: ``PGD``, ``P4D``, ``PUD``, ``PMD``, ``PTE``
    :param at: where the entry is: physical address
    :param entry: its 64 bits
    """

    name: str
    at: int
    entry: int


@dataclass(frozen=True)
class Walk:
    """A translation.

    :param levels: the entries met, the last one is where it ended
    :param physical: the address, None where nothing is mapped
    :param size: of the page in bytes
    """

    levels: tuple[Level, ...]
    physical: int | None
    size: int


def need_x86(program: Program) -> None:
    """Complain about dumps of other machines.

    :raises CommandError: it is none of x86-64
    """
    platform = program.platform
    if platform is None or platform.arch is not Architecture.X86_64:
        raise CommandError("knows the page tables of x86-64 only, and this dump has others")


def five_levels(program: Program) -> bool:
    """Whether the machine ran with 5-level page tables (``__pgtable_l5_enabled``)."""
    try:
        address = program.symbol("__pgtable_l5_enabled").address
        return bool(int(Object(program, "unsigned int", address=address)))
    except READ_ERRORS:
        return False


def walk(program: Program, pgd: int, address: int) -> Walk:
    """Translate ``address`` by the table at ``pgd``.

    :param pgd: physical address of the top table
    """
    names = [("PGD", 39), ("PUD", 30), ("PMD", 21), ("PTE", 12)]
    if five_levels(program):
        names = [("PGD", 48), ("P4D", 39), *names[1:]]
    table = pgd
    levels: list[Level] = []
    for name, shift in names:
        at = table + ((address >> shift) & 0x1FF) * 8
        try:
            entry = program.read_u64(at, True)
        except READ_ERRORS as error:
            raise CommandError(f"the {name} table is not in the dump", thing=f"{at:x}") from error
        levels.append(Level(name, at, entry))
        large = name in ("PUD", "PMD") and entry & _PSE
        # PROT_NONE pages are there, though no access is allowed (_PAGE_PROTNONE).
        if not entry & _PRESENT and not (name == "PTE" and entry & _PROTNONE):
            return Walk(tuple(levels), None, 1 << shift)
        if name == "PTE" or large:
            size = 1 << shift
            # Bit 12 of a large entry is its PAT bit.
            base = entry & PHYSICAL_MASK & ~(size - 1)
            return Walk(tuple(levels), base + (address & (size - 1)), size)
        table = entry & PHYSICAL_MASK
    raise AssertionError("the last level always returns")


class Tables:
    """Page tables, each read once: for whoever asks for very many addresses.

    :param pgd: physical address of the top table
    :raises CommandError: the dump is none of x86-64
    """

    def __init__(self, program: Program, pgd: int) -> None:
        need_x86(program)
        self._program = program
        self._top = pgd
        self._shifts = (48, 39, 30, 21, 12) if five_levels(program) else (39, 30, 21, 12)
        self._read: dict[int, tuple[int, ...]] = {}

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """What is mapped between two addresses, entry by entry.

        :returns: virtual addresses from where to where, and the physical one of its beginning
        """
        while start < end:
            shift, entry = self._entry(start)
            stop = min(end, (start >> shift) + 1 << shift)
            if entry:
                # Bit 12 of a large entry is its PAT bit.
                base = (entry & PHYSICAL_MASK) >> shift << shift
                yield start, stop, base + (start & (1 << shift) - 1)
            start = stop

    def _entry(self, address: int) -> tuple[int, int]:
        """How many bits what maps ``address`` covers, and its entry; 0 where nothing does."""
        table = self._top
        for shift in self._shifts:
            entry = self._table(table)[address >> shift & 0x1FF]
            if not entry & _PRESENT and not (shift == 12 and entry & _PROTNONE):
                return shift, 0
            if shift == 12 or (shift <= 30 and entry & _PSE):
                return shift, entry
            table = entry & PHYSICAL_MASK
        raise AssertionError("the last level always returns")

    def _table(self, at: int) -> tuple[int, ...]:
        found = self._read.get(at)
        if found is None:
            try:
                found = struct.unpack("<512Q", self._program.read(at, 4096, True))
            except READ_ERRORS:  # not in the dump: what it maps cannot be read
                found = (0,) * 512
            self._read[at] = found
        return found


def kernel_pgd(program: Program) -> int:
    """Physical address of the kernel's top page table (``init_mm.pgd``)."""
    from drgn.helpers.linux.mm import virt_to_phys

    address = int(program["init_mm"].pgd)
    if address >= START_KERNEL_MAP:
        base = program.read_u64(program.symbol("phys_base").address)
        return int((address - START_KERNEL_MAP + base) & 0xFFFF_FFFF_FFFF_FFFF)
    return int(virt_to_phys(program, address))


def user_pgd(task: Object) -> int:
    """Physical address of a task's top page table.

    :raises CommandError: it has no memory of its own
    """
    from drgn.helpers.linux.mm import virt_to_phys

    if not task.mm:
        raise CommandError("a kernel thread has no user space")
    return int(virt_to_phys(task.mm.pgd))


def flags(entry: int, *, large: bool = False) -> str:
    """``(PRESENT|RW|USER)``."""
    names = [name for bit, name in FLAGS if entry >> bit & 1 and not (name == "PSE" and not large)]
    if not entry & _PRESENT and entry & _PROTNONE:
        names = ["PROTNONE", *(name for name in names if name != "GLOBAL")]
    return f"({'|'.join(names) or 'no bits'})"


def swapped(entry: int) -> tuple[int, int] | None:
    """Swap type and offset of an entry that is not present; None if it is empty or present.

    The offset is stored inverted since 4.18 (6b28baca9b1f, L1TF); 5 bits of type in 59 to 63.
    """
    if entry == 0 or entry & (_PRESENT | _PROTNONE):
        return None
    return entry >> 59, (~entry & ((1 << 59) - 1)) >> 14 << 5 >> 5


def swap_file(program: Program, number: int) -> str:
    """The path of a swap device."""
    from drgn.helpers.linux.fs import d_path

    try:
        info = program["swap_info"][number]
        return d_path(info.swap_file.f_path).decode(errors="backslashreplace")
    except READ_ERRORS:
        return f"swap device {number}"


def explained(program: Program, entry: int, *, large: bool = False) -> Iterator[str]:
    """The table that crash prints of an entry: physical page and flags, or where it is swapped."""
    where = swapped(entry)
    if where is not None and where[0] < 30:
        device = swap_file(program, where[0])
        yield f"{'PTE':^{len(f'{entry:x}')}}  {'SWAP':^{len(device)}}  OFFSET"
        yield f"{entry:x}  {device}  {where[1]}"
        return
    if not entry & (_PRESENT | _PROTNONE):
        yield f"{'PTE':^{len(f'{entry:x}')}}"
        yield f"{entry:x}  (not present)" if entry else "0  (not mapped)"
        return
    physical = f"{entry & PHYSICAL_MASK:x}"
    text = f"{entry:x}"
    yield f"{'PTE':^{len(text)}}  {'PHYSICAL':^{max(8, len(physical))}}  FLAGS"
    yield f"{text}  {physical:<8}  {flags(entry, large=large)}"
