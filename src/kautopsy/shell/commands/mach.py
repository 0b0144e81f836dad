"""``mach``: the machine: its CPUs, its memory map, where the kernel put things."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_possible_cpu, num_present_cpus

from kautopsy.kernel.globals import ticks_per_second, variable
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.context import cpus
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, shown
from kautopsy.shell.unwind import irq_stack, special_stacks

# enum e820_type (arch/x86/include/asm/e820/types.h)
_E820 = {1: "E820_RAM", 2: "E820_RESERVED", 3: "E820_ACPI", 4: "E820_NVS", 5: "E820_UNUSABLE",
         7: "E820_PMEM", 12: "E820_PRAM", 128: "E820_RESERVED_KERN",
         0xEFFFFFFF: "E820_SOFT_RESERVED"}  # fmt: skip
_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


@command(
    "mach",
    "machine specific data",
    usage="[-m | -c -[xd] | -o]",
    arguments=(
        flag("-m", "the physical memory map", dest="map"),
        flag("-c", "the cpuinfo structure of each CPU", dest="cpus"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        flag("-o", "OPAL console log (PowerPC)", dest="opal"),
    ),
    drgn="""
    prog["boot_cpu_data"]
    prog["vmalloc_base"], prog["page_offset_base"]    # x86-64
    """,
)
def mach(session: Session, arguments: argparse.Namespace) -> Lines:
    """Memory, CPUs, the kernel's address ranges, the stacks of each CPU."""
    session.need_types("mach")
    if arguments.opal:
        raise CommandError("the OPAL console is PowerPC's")
    if arguments.map:
        return _memory_map(session)
    if arguments.cpus:
        radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
        return _cpus(session, cpus(session, "a"), radix)
    return _machine(session)


def _value(session: Session, name: str) -> int | None:
    try:
        address = session.program.symbol(name).address
        return int(Object(session.program, "unsigned long", address=address))
    except READ_ERRORS:
        return None


def _machine(session: Session) -> Iterator[str]:
    program = session.program
    yield f"          MACHINE TYPE: {_machine_name(session)}"
    yield f"           MEMORY SIZE: {size_words(_memory(session))}"
    try:
        yield f"                  CPUS: {num_present_cpus(program)}"
    except READ_ERRORS:
        yield f"                  CPUS: {len(list(for_each_possible_cpu(program)))}"
    try:
        khz = int(Object(program, "unsigned int", address=program.symbol("cpu_khz").address))
        yield f"       PROCESSOR SPEED: {khz // 1000} Mhz"
    except READ_ERRORS:
        yield "       PROCESSOR SPEED: (unknown)"
    hertz = _hertz(session)
    yield f"                    HZ: {hertz if hertz else '(unknown)'}"
    yield f"             PAGE SIZE: {int(program['PAGE_SIZE'])}"
    for title, name, otherwise in (
        ("KERNEL VIRTUAL BASE", "page_offset_base", 0xFFFF_8880_0000_0000),
        ("KERNEL VMALLOC BASE", "vmalloc_base", 0xFFFF_C900_0000_0000),
        ("KERNEL VMEMMAP BASE", "vmemmap_base", 0xFFFF_EA00_0000_0000),
    ):
        yield f"   {title}: {_value(session, name) or otherwise:x}"
    yield "      KERNEL START MAP: ffffffff80000000"
    # MODULES_VADDR: the kernel's image has 1 GiB with KASLR, 512 MiB without.
    kaslr = _value(session, "phys_base") is not None and _relocated(session)
    yield f"   KERNEL MODULES BASE: {'ffffffffc0000000' if kaslr else 'ffffffffa0000000'}"
    yield f"     KERNEL STACK SIZE: {stack_size(program)}"
    yield from _stacks(session)


def _relocated(session: Session) -> bool:
    """CONFIG_RANDOMIZE_BASE: the kernel knows how to choose a place."""
    for name in ("kaslr_offset", "kernel_randomize_memory"):
        try:
            session.program.symbol(name)
        except LookupError:
            continue
        return True
    return False


def _hertz(session: Session) -> int | None:
    try:
        return ticks_per_second(session.program)
    except READ_ERRORS:
        return None


def _machine_name(session: Session) -> str:
    try:
        name = session.program["init_uts_ns"].name.machine.string_()
        return str(name.decode(errors="backslashreplace"))
    except READ_ERRORS:
        return "x86_64"


def _memory(session: Session) -> int:
    return sum(end - start for start, end, kind in _ranges(session) if kind == 1)


def size_words(size: int) -> str:
    """``1 GB``, ``711.7 MB``: one digit, dropped where it is zero."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return str(size)


def _ranges(session: Session) -> list[tuple[int, int, int]]:
    """``e820_table`` (4.13 on), ``e820`` before."""
    program = session.program
    for name in ("e820_table", "e820"):
        try:
            pointer = Object(program, "unsigned long", address=program.symbol(name).address)
            new = name == "e820_table"
            kind = "struct e820_table *" if new else "struct e820map *"
            table = Object(program, kind, int(pointer))
            entries = table.entries if new else table.map
            count = int(table.nr_entries if new else table.nr_map)
            return [
                (int(one.addr), int(one.addr) + int(one.size), int(one.type))
                for one in (entries[at] for at in range(min(count, 4096)))
            ]
        except READ_ERRORS:
            continue
    return []


def _memory_map(session: Session) -> Iterator[str]:
    ranges = _ranges(session)
    if not ranges:
        raise CommandError("the kernel has no e820 table: not an x86, or its memory is missing")
    yield "      PHYSICAL ADDRESS RANGE         TYPE"
    for start, end, kind in ranges:
        yield f"{start:016x} - {end:016x}  {_E820.get(kind, f'type {kind}')}"


def _cpus(session: Session, wanted: list[int], radix: int) -> Iterator[str]:
    from drgn.helpers.linux.percpu import per_cpu

    program = session.program
    for number, cpu in enumerate(wanted):
        if number:
            yield ""
        yield f"CPU {cpu}:"
        try:
            info = per_cpu(variable(program, "cpu_info", "struct cpuinfo_x86"), cpu)
        except READ_ERRORS:
            raise CommandError("the kernel has no cpu_info") from None
        yield from shown(program, Wanted("cpuinfo_x86"), info.address_ or 0, radix=radix)


def _stacks(session: Session) -> Iterator[str]:
    program = session.program
    every = sorted(for_each_possible_cpu(program))
    irqs = [(cpu, irq_stack(program, cpu)) for cpu in every]
    found = [bounds for _cpu, bounds in irqs if bounds is not None]
    if found:
        yield f"        IRQ STACK SIZE: {found[0][1] - found[0][0]}"
        yield "            IRQ STACKS:"
        for cpu, bounds in irqs:
            if bounds is not None:
                yield f"{'CPU ' + str(cpu):>22}: {bounds[0]:x}"
    kinds: dict[str, list[tuple[int, int, int]]] = {}
    for cpu in every:
        for low, high, kind in special_stacks(program, only=cpu):
            # VC2 is where VC falls back to, in SEV guests only.
            if kind not in ("IRQ", "VC2") and high > low:
                kinds.setdefault(kind, []).append((cpu, low, high))
    for kind, stacks in kinds.items():
        name = kind.lstrip("#")
        yield f"{name + ' STACK SIZE':>22}: {stacks[0][2] - stacks[0][1]}"
        yield f"{name + ' STACKS':>22}:"
        for cpu, low, _high in stacks:
            yield f"{'CPU ' + str(cpu):>22}: {low:x}{_mapped(session, low)}"


def _mapped(session: Session, address: int) -> str:
    try:
        session.program.read(address, 8)
    except READ_ERRORS:
        return " [unavailable]"
    return ""
