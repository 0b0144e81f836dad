"""``search``: find values in memory."""

from __future__ import annotations

import argparse
import re
import struct
from collections.abc import Callable, Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.context import all_tasks, header, on_cpu
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.memoryranges import Stretch, direct_map, held, image, mapped, pieces, sound
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session

_TOP = 1 << 64
_TEXT = 56
"""Characters of context that crash shows of a string that was found."""

Finder = Callable[[bytes], Iterator[int]]


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

    Only what the dump holds is read. Ctrl-C ends a long search; what was found stays shown.
    """
    if arguments.strings and (
        arguments.mask or arguments.words or arguments.halves or arguments.context
    ):
        raise BadArgumentsError("-c goes without -m, -w, -h and -x")
    if arguments.words and arguments.halves:
        raise BadArgumentsError("-w and -h are mutually exclusive")
    size = 1 if arguments.strings else 4 if arguments.words else 2 if arguments.halves else 8
    needles = [_needle(session, word, size, arguments) for word in arguments.values]
    mask = _mask(arguments.mask, size)
    find = _finder(needles, mask, size)
    if arguments.stacks or arguments.active:
        yield from _stacks(session, arguments, find, size)
        return
    stretches, low, high = _where(session, arguments)
    physical = [one for one in stretches if one.physical]
    nothing = True
    for line in _hits(session, physical, low, high, find, size, arguments):
        nothing = False
        yield line
    if nothing and physical and (low, high) == (0, _TOP) and size > 1 and sound(session):
        return  # other addresses lead to the same pages, and a value lies within one
    others = [one for one in stretches if not one.physical]
    yield from _hits(session, others, low, high, find, size, arguments)


def _needle(session: Session, word: str, size: int, arguments: argparse.Namespace) -> bytes:
    if arguments.strings:
        return word.encode()
    value = address_of(session.program, word)
    if value >> (8 * size):
        raise BadArgumentsError(f"does not fit in {8 * size} bits", thing=word)
    return value.to_bytes(size, "little")


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


def _finder(needles: list[bytes], mask: int, size: int) -> Finder:
    """Offsets at which a needle begins, aligned to its size."""
    if not mask and len(needles) == 1:
        needle = needles[0]

        def plain(raw: bytes) -> Iterator[int]:
            at = raw.find(needle)
            while at >= 0:
                if at % size == 0:
                    yield at
                    at += 1
                # Nothing can begin, aligned, before the next multiple.
                at = raw.find(needle, at + (-at % size))

        return plain
    pattern = re.compile(
        b"|".join(_pattern(needle, mask.to_bytes(max(size, 1), "little")) for needle in needles),
        re.DOTALL,
    )

    def masked(raw: bytes) -> Iterator[int]:
        found = pattern.search(raw)
        while found is not None:
            at = found.start()
            if at % size == 0:
                yield at
                at += 1
            found = pattern.search(raw, at + (-at % size))

    return masked


def _pattern(needle: bytes, mask: bytes) -> bytes:
    """A pattern of bytes that ignores the bits of ``mask``."""
    if not any(mask):
        return re.escape(needle)
    parts: list[bytes] = []
    for wanted, ignored in zip(needle, mask, strict=True):
        allowed = bytes(value for value in range(256) if not (value ^ wanted) & ~ignored & 0xFF)
        parts.append(b"." if len(allowed) == 256 else b"[" + _escaped(allowed) + b"]")
    return b"".join(parts)


def _escaped(values: bytes) -> bytes:
    return b"".join(b"\\x%02x" % value for value in values)


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
        return _user(session), low, high
    if start is not None and not start >> 63:
        raise BadArgumentsError("is no kernel address", thing=arguments.start, hint="-u or -p")
    if start is not None and end is not None:
        # A range that was given in full is read as it is: any mapping will do.
        return [Stretch(start, end)], low, high
    kinds: list[Stretch] = []
    if not arguments.mapped:
        kinds += direct_map(session)
    if not arguments.unity:
        kinds += mapped(session)
    if not arguments.mapped:
        kinds += image(session)
    return kinds, low, high


def _user(session: Session) -> list[Stretch]:
    """The current task's pages, by physical address, shown by their virtual one."""
    from drgn.helpers.linux.mm import for_each_vma

    from kautopsy.shell.paging import need_x86, user_pgd, walk

    program = session.program
    need_x86(program)
    task = session.context
    pgd = user_pgd(task)
    found: list[Stretch] = []
    for vma in for_each_vma(task.mm):
        address, end = int(vma.vm_start), int(vma.vm_end)
        while address < end:
            try:
                entry = walk(program, pgd, address)
            except CommandError:
                address += 4096
                continue
            step = entry.size - address % entry.size
            if entry.physical is not None:
                size = min(step, end - address)
                found.append(Stretch(entry.physical, entry.physical + size, physical=True,
                                     shift=address - entry.physical))  # fmt: skip
            address += step
    return found


def _hits(
    session: Session,
    stretches: list[Stretch],
    low: int,
    high: int,
    find: Finder,
    size: int,
    arguments: argparse.Namespace,
) -> Iterator[str]:
    for address, raw in pieces(session, stretches, low, high):
        for at in find(raw):
            yield from _shown(address, raw, at, size, arguments)


def _shown(
    address: int, raw: bytes, at: int, size: int, arguments: argparse.Namespace
) -> Iterator[str]:
    if arguments.strings:
        text = re.sub(r"[^ -~]", ".", raw[at : at + _TEXT].decode("latin-1"))
        yield f"{address + at:x}: {text}"
        return
    value = int.from_bytes(raw[at : at + size], "little")
    if not arguments.context:
        yield f"{address + at:x}: {value:x}"
        return
    count = arguments.context
    begin, stop = max(0, at - count * size), min(len(raw), at + (count + 1) * size)
    letter = {8: "Q", 4: "I", 2: "H"}[size]
    for offset in range(begin, stop - size + 1, size):
        (word,) = struct.unpack_from(f"<{letter}", raw, offset)
        mark = " <" if offset == at else ""
        yield f"{address + offset:x}: {word:0{2 * size}x}{mark}"
    yield ""


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
    yield from _hits(session, [Stretch(base, base + length)], 0, _TOP, find, size, arguments)
