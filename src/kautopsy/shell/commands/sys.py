"""``sys``: the machine that died, its configuration, system calls, taints, firmware."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.taints import taints
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.source import source_line


@command(
    "sys",
    "system data",
    usage="[-c [name|number]] [-t] [-i] config",
    arguments=(
        argument(
            "-c",
            dest="calls",
            nargs="?",
            const="",
            help="the system call table, or the entries of a name or number",
        ),
        flag("-t", "the kernel taint information", dest="taints"),
        flag("-i", "the DMI strings of the firmware", dest="firmware"),
        argument("what", nargs="*", metavar="config", help="the kernel's configuration"),
    ),
    delegates=True,
)
def sys_(session: Session, arguments: argparse.Namespace) -> Lines | None:
    """The header, or what an option names."""
    if arguments.calls is not None:
        return _system_calls(session, arguments.calls)
    if arguments.taints:
        return _taints(session)
    if arguments.firmware:
        return _firmware(session)
    if arguments.what:
        return None
    return _header(session)


def _header(session: Session) -> Iterator[str]:
    """drgn's header with crash's own dump line, and what its KERNEL really is."""
    dump = session.dump
    for line in delegate(session, "sys"):
        key, _, value = line.partition(":")
        if key.strip() == "KERNEL":
            vmlinux = session.symbols.vmlinux
            value = f" {vmlinux}" if vmlinux else f" (no vmlinux: {session.symbols.source})"
        elif key.strip() == "DUMPFILE" and dump is not None:
            value = f" {dump.path}"
            if not dump.complete:
                value += "  [INCOMPLETE]"
            elif dump.dump_level:
                value += "  [PARTIAL DUMP]"
        elif key.strip() == "MACHINE" and (speed := _speed(session)):
            value += f"  ({speed} Mhz)"
        elif key.strip() == "MEMORY":
            value = " " + _spaced(value.strip())
        yield f"{key}:{value}"


def _speed(session: Session) -> int:
    """``cpu_khz`` of x86 in MHz, 0 where there is none."""
    try:
        address = session.program.symbol("cpu_khz").address
        return int(Object(session.program, "unsigned int", address=address)) // 1000
    except READ_ERRORS:
        return 0


def _spaced(size: str) -> str:
    found = re.fullmatch(r"([\d.]+)\s*([KMGT])B?", size)
    if found is None:
        return size
    return f"{found[1].removesuffix('.0')} {found[2]}B"


def _system_calls(session: Session, which: str) -> Iterator[str]:
    program = session.program
    try:
        table = program.symbol("sys_call_table")
    except LookupError as error:
        raise CommandError("the kernel has no sys_call_table") from error
    count = table.size // 8 if table.size else 0
    count = _calls_known(session, count)
    raw = program.read(table.address, 8 * count)
    names = [
        (number, _name(session, int.from_bytes(raw[8 * number : 8 * number + 8], "little")))
        for number in range(count)
    ]
    if which:
        if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", which):
            wanted = int(which, 0)
            names = [one for one in names if one[0] == wanted]
        else:
            names = [one for one in names if which in one[1]]
        if not names:
            raise CommandError("no such system call", thing=which)
    yield "NUM  SYSTEM CALL                FILE AND LINE NUMBER"
    for number, name in names:
        if name != "sys_ni_syscall" or which:
            shown = f"{number:x}" if session.settings.radix == 16 else str(number)
            yield f"{shown:>3}  {name:<26} {_where(session, name)}".rstrip()


def _calls_known(session: Session, by_size: int) -> int:
    """How many entries: kallsyms' sizes include padding, and NR_syscalls is a macro."""
    limit = by_size or 512
    raw = session.program.read(session.program.symbol("sys_call_table").address, 8 * limit)
    for number in range(limit):
        word = int.from_bytes(raw[8 * number : 8 * number + 8], "little")
        if not word >> 63:
            return number
    return limit


def _name(session: Session, address: int) -> str:
    try:
        return str(session.program.symbol(address).name)
    except LookupError:
        return f"{address:x}"


def _where(session: Session, name: str) -> str:
    return source_line(session.program, session.program.symbol(name).address)


def _taints(session: Session) -> Iterator[str]:
    mask = int(Object(session.program, "unsigned long", address=_symbol(session, "tainted_mask")))
    letters = "".join(taint.letter for taint in taints(session.program))
    yield f"TAINTED_MASK: {mask:x}  {letters}".rstrip()


def _symbol(session: Session, name: str) -> int:
    try:
        return int(session.program.symbol(name).address)
    except LookupError as error:
        raise CommandError("the kernel has no such symbol", thing=name) from error


# In the order of enum dmi_field (include/linux/mod_devicetable.h), as crash lists them.
def _firmware(session: Session) -> Iterator[str]:
    session.need_types("the DMI table")
    program = session.program
    try:
        type_ = program.type("enum dmi_field")
        address = _symbol(session, "dmi_ident")
    except LookupError as error:
        raise CommandError("the kernel was built without DMI") from error
    for one in type_.enumerators or ():
        if one.name in ("DMI_NONE", "DMI_STRING_MAX", "DMI_OEM_STRING"):
            continue
        pointer = int(Object(program, "unsigned long", address=address + 8 * one.value))
        if not pointer:
            continue
        try:
            shown = text(program.read_c_string(pointer, max_size=256))
        except READ_ERRORS:
            shown = "(not in the dump)"
        yield f"{one.name:>25}: {shown}".rstrip()
