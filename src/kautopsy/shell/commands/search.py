"""``search``: find values in memory."""

from __future__ import annotations

import argparse
import contextlib
import re
import struct
from collections.abc import Iterable, Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.context import all_tasks, header, on_cpu
from kautopsy.shell.errors import BadArgumentsError
from kautopsy.shell.expression import address_of
from kautopsy.shell.memoryranges import (
    Stretch,
    backed,
    between,
    direct_map,
    held,
    image,
    mapped,
    pieces,
    quick,
)
from kautopsy.shell.needles import Finder, Needle
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session

_TOP = 1 << 64
_PAGE = 4096
_LETTERS = {8: "Q", 4: "I", 2: "H"}
_ROW = 16
"""Bytes of memory on a line of context."""
_NUMBER = re.compile(r"(0x)?[0-9a-fA-F]+")
_TEXT = 56
"""Characters of context that crash shows of a string that was found."""


@command(
    "search",
    "search memory",
    usage="[-s start] [ -[kKV] | -u | -p | -t | -T ] [-e end | -l length] [-m mask] [-x count] "
    "-[cwh] [value | (expression) | symbol | string] ...",
    arguments=(
        argument("-s", dest="start", help="where to begin"),
        argument("-e", dest="end", help="where to end"),
        argument("-l", dest="length", help="bytes to search"),
        flag("-k", "all kernel memory (as without)", dest="kernel"),
        flag("-K", "the direct map and the kernel's image only", dest="unity"),
        flag("-V", "what vmalloc() mapped and the modules only", dest="mapped"),
        flag("-u", "the current task's user space", dest="user"),
        flag("-p", "physical memory", dest="physical"),
        flag("-t", "the kernel stack of every task", dest="stacks"),
        flag("-T", "the kernel stacks of active tasks", dest="active"),
        argument("-m", dest="mask", help="bits to ignore"),
        argument("-x", dest="context", type=int, default=0, metavar="count",
                 help="so many values before and after each"),
        flag("-c", "strings", dest="strings"),
        flag("-w", "values of 32 bits", dest="words"),
        flag("-h", "values of 16 bits", dest="halves"),
        argument("values", nargs="+", metavar="value"),
    ),
    drgn='''
    for address in prog.search_memory_u64(0xdeadbeef):
        print(hex(address))
    ''',
)  # fmt: skip
def search(session: Session, arguments: argparse.Namespace) -> Lines:
    """Where in memory values are: hexadecimal numbers, symbols, (expressions) or, with -c, strings.

    A value lies at a multiple of its size; a string anywhere. The order is that of memory: the
    direct map, then what vmalloc() mapped, page structures and modules, then the kernel's image.
    Behind a hit stands the symbol or expression that was looked for. -x shows memory around each
    hit as rd does. Only what the dump holds is read. Ctrl-C ends a long search; what was found
    stays shown.
    """
    if arguments.strings and (
        arguments.mask or arguments.words or arguments.halves or arguments.context
    ):
        raise BadArgumentsError("-c goes without -m, -w, -h and -x")
    if arguments.words and arguments.halves:
        raise BadArgumentsError("-w and -h are mutually exclusive")
    size = 1 if arguments.strings else 4 if arguments.words else 2 if arguments.halves else 8
    needles = [_needle(session, word, size, arguments) for word in arguments.values]
    find = Finder(needles, _mask(arguments.mask, size), size)
    if arguments.stacks or arguments.active:
        yield from _stacks(session, arguments, find, size)
        return
    stretches, low, high = _where(session, arguments)
    physical = [one for one in stretches if one.physical]
    virtual = [one for one in stretches if not one.physical]
    others: Iterable[Stretch] = virtual
    pages: set[int] = set()
    for address, line in _hits(session, physical, low, high, find, size, arguments):
        pages.add(address & -_PAGE)
        yield line
    if physical and virtual and (low, high) == (0, _TOP) and size > 1 and quick(session):
        # Other addresses lead to the same pages, and a value lies within one.
        found = {page - physical[0].shift for page in pages}
        others = backed(session, virtual, found) if found else ()
    for _, line in _hits(session, others, low, high, find, size, arguments):
        yield line


def _needle(session: Session, word: str, size: int, arguments: argparse.Namespace) -> Needle:
    if arguments.strings:
        return Needle(word.encode())
    value = address_of(session.program, word)
    if value >> (8 * size):
        raise BadArgumentsError(f"does not fit in {8 * size} bits", thing=word)
    label = "" if _NUMBER.fullmatch(word) else word if word.startswith("(") else f"({word})"
    return Needle(value.to_bytes(size, "little"), label)


def _mask(text: str | None, size: int) -> int:
    if text is None:
        return 0
    try:
        value = int(text, 16)
    except ValueError:
        raise BadArgumentsError("a mask is a hexadecimal number", thing=text) from None
    if value >> (8 * size):
        raise BadArgumentsError(f"does not fit in {8 * size} bits", thing=text)
    return value


def _where(session: Session, arguments: argparse.Namespace) -> tuple[list[Stretch], int, int]:
    """What to search, and between which addresses."""
    program = session.program
    start = address_of(program, arguments.start) if arguments.start else None
    end = address_of(program, arguments.end) if arguments.end else None
    if arguments.length is not None:
        if end is not None:
            raise BadArgumentsError("-e and -l are mutually exclusive")
        try:
            length = int(arguments.length, 0)
        except ValueError:
            raise BadArgumentsError("invalid length", thing=arguments.length) from None
        end = (start or 0) + length
    low, high = start or 0, end if end is not None else _TOP
    if high <= low:
        raise BadArgumentsError("the range ends before it begins")
    if arguments.physical:
        return [Stretch(a, b, physical=True) for a, b in held(session)], low, high
    if arguments.user:
        return _user(session, low, high), low, high
    if start is not None and not start >> 63:
        raise BadArgumentsError("is no kernel address", thing=arguments.start, hint="-u or -p")
    if start is not None and end is not None:
        # A range that was given in full is read as it is: any mapping will do.
        return list(between(session, start, end)), low, high
    kinds: list[Stretch] = []
    if not arguments.mapped:
        kinds += direct_map(session)
    if not arguments.unity:
        kinds += mapped(session)
    if not arguments.mapped:
        kinds += image(session)
    return kinds, low, high


def _user(session: Session, low: int, high: int) -> list[Stretch]:
    """The current task's pages, by physical address, shown by their virtual one."""
    from drgn.helpers.linux.mm import for_each_vma

    from kautopsy.shell.paging import Tables, user_pgd

    task = session.context
    tables = Tables(session.program, user_pgd(task))
    found: list[Stretch] = []
    for vma in for_each_vma(task.mm):
        start, end = max(low, int(vma.vm_start)), min(high, int(vma.vm_end))
        for first, stop, physical in tables.spans(start, end):
            found.append(
                Stretch(physical, physical + stop - first, physical=True, shift=first - physical)
            )
    return found


def _hits(
    session: Session,
    stretches: Iterable[Stretch],
    low: int,
    high: int,
    find: Finder,
    size: int,
    arguments: argparse.Namespace,
) -> Iterator[tuple[int, str]]:
    """Address and lines of every hit."""
    by_page = size > 1 and not arguments.context
    barren: bytes | None = None
    for address, raw in pieces(session, stretches, low, high, by_page=by_page):
        if raw is barren:  # one page of the file for many: zeros
            continue
        hits = find(raw)
        if not hits:
            barren = raw
        for at, label in hits:
            if arguments.strings:
                text = re.sub(r"[^ -~]", ".", raw[at : at + _TEXT].decode("latin-1"))
                yield address + at, f"{address + at:x}: {text}"
                continue
            value = int.from_bytes(raw[at : at + size], "little")
            shown = f"{value:x}{label and ' ' + label}"
            if not arguments.context:
                yield address + at, f"{address + at:x}: {shown}"
                continue
            for line in _between(session, address, raw, at, size, shown, arguments):
                yield address + at, line


def _between(
    session: Session,
    address: int,
    raw: bytes,
    at: int,
    size: int,
    shown: str,
    arguments: argparse.Namespace,
) -> Iterator[str]:
    """A hit between what lies before and behind it, as ``rd`` shows memory."""
    length = arguments.context * size

    def around(start: int, end: int) -> bytes:
        if start < 0 or end > len(raw):  # before or behind what was read for the search
            with contextlib.suppress(*READ_ERRORS):
                found: bytes = session.program.read(
                    address + start, end - start, arguments.physical
                )
                return found
        return raw[max(0, start) : end]

    before, behind = around(at - length, at), around(at + size, at + size + length)
    yield from _memory(address + at - len(before), before, size)
    yield f"{address + at:016x}:  {shown}"
    yield from _memory(address + at + size, behind, size)
    yield ""


def _memory(address: int, raw: bytes, size: int) -> Iterator[str]:
    width = _ROW // size * (2 * size + 1) + 2
    for start in range(0, len(raw) - size + 1, _ROW):
        row = raw[start : start + _ROW]
        words = struct.unpack(f"<{len(row) // size}{_LETTERS[size]}", row)
        values = " ".join(f"{word:0{2 * size}x}" for word in words)
        text = re.sub(r"[^ -~]", ".", row.decode("latin-1"))
        yield f"{address + start:016x}:  {values:<{width}}{text}"


def _stacks(
    session: Session, arguments: argparse.Namespace, find: Finder, size: int
) -> Iterator[str]:
    program = session.program
    running = on_cpu(program)
    length = stack_size(program)
    first = True
    for task in all_tasks(program):
        if arguments.active and task.value_() not in running:
            continue
        lines = list(_stack(session, task, length, find, size, arguments))
        if lines:
            if not first:
                yield ""
            first = False
            yield header(task)
            yield from lines


def _stack(
    session: Session,
    task: Object,
    length: int,
    find: Finder,
    size: int,
    arguments: argparse.Namespace,
) -> Iterator[str]:
    try:
        base = int(task.stack)
    except READ_ERRORS:
        return
    stack = [Stretch(base, base + length)]
    for _, line in _hits(session, stack, 0, _TOP, find, size, arguments):
        yield line
