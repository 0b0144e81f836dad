"""The memory that a dump holds, by kernel virtual address: what can be searched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drgn import Architecture, Program, RelocatableModule

from kautopsy.dump.contents import Contents
from kautopsy.dump.pages import held_ranges
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.model.dump import DumpFormat
from kautopsy.model.errors import KautopsyError
from kautopsy.shell.errors import CommandError
from kautopsy.shell.paging import START_KERNEL_MAP, Tables, kernel_pgd
from kautopsy.shell.session import Session

CHUNK = 1 << 20
_PAGE = 4096


@dataclass(frozen=True)
class Stretch:
    """Memory that can be read in one piece: ``physical`` or kernel virtual addresses.

    :param shift: what is to be added to an address to show it
    """

    start: int
    end: int
    physical: bool = False
    shift: int = 0


def direct_map(session: Session) -> list[Stretch]:
    """All memory of the dump, read by physical address, shown by its address in the direct map."""
    program = session.program
    base = _base(program, "page_offset_base", 0xFFFF_8880_0000_0000)
    return [Stretch(low, high, physical=True, shift=base) for low, high in held(session)]


def held(session: Session) -> list[tuple[int, int]]:
    """The physical ranges that are in the dump.

    :raises CommandError: that is not known (the running kernel, another container)
    """
    if session.dump is None:
        raise CommandError("the pages of the running kernel are not listed", hint="give -s and -l")
    path = session.dump.path

    def read() -> list[tuple[int, int]]:
        try:
            return held_ranges(Path(path))
        except KautopsyError as error:
            raise CommandError(error.what, thing=path, hint="give -s and -l") from error

    found = session.cached("held", read)
    assert isinstance(found, list)
    return found


def _base(program: Program, name: str, otherwise: int) -> int:
    try:
        return int(program.read_u64(program.symbol(name).address))
    except READ_ERRORS:
        return otherwise


def image(session: Session) -> list[Stretch]:
    """The kernel's image at its link address."""
    program = session.program
    try:
        start, end = (program.symbol(name).address for name in ("_text", "_end"))
    except LookupError:
        return []
    if start < START_KERNEL_MAP:
        return []
    return [Stretch(start, end)]


def mapped(session: Session) -> list[Stretch]:
    """What vmalloc() mapped, and the modules."""
    from drgn.helpers.linux.mm import for_each_vmap_area

    program = session.program
    found: list[Stretch] = []
    try:
        for area in for_each_vmap_area(program):
            found.append(Stretch(int(area.va_start), int(area.va_end)))
    except READ_ERRORS:
        pass
    known = {one.start for one in found}
    for module in program.modules():
        if isinstance(module, RelocatableModule):
            for low, high in module.address_ranges or ():
                if not any(one.start <= low < one.end for one in found) and low not in known:
                    found.append(Stretch(low, high))
    return sorted([*found, *_page_structures(session)], key=lambda one: one.start)


def _page_structures(session: Session) -> list[Stretch]:
    """The virtually mapped array of ``struct page``, as far as the dump's memory reaches."""
    from drgn.helpers.linux.mm import pfn_to_page

    try:
        first, last = (
            pfn_to_page(session.program, at // _PAGE).value_() for at in (0, held(session)[-1][1])
        )
    except (CommandError, IndexError, *READ_ERRORS):
        return []
    return [Stretch(first, last)]


def backed(session: Session, stretches: list[Stretch], pages: set[int]) -> Iterator[Stretch]:
    """The pages of ``stretches`` (virtual) behind which is one of ``pages``, physical addresses."""
    tables = Tables(session.program, kernel_pgd(session.program))
    for one in stretches:
        for start, stop, physical in tables.spans(one.start, one.end):
            for offset in range(0, stop - start, _PAGE):
                if physical + offset in pages:
                    yield Stretch(start + offset, start + offset + _PAGE)


def between(session: Session, start: int, end: int) -> Iterator[Stretch]:
    """Kernel memory at the addresses from ``start`` to ``end``, whatever maps it."""
    if end - start <= CHUNK or not quick(session):
        yield Stretch(start, end)
        return
    # Most of what lies between two addresses may be mapped nowhere.
    tables = Tables(session.program, kernel_pgd(session.program))
    for first, stop, _ in tables.spans(start, end):
        yield Stretch(first, stop)


def pieces(
    session: Session, stretches: Iterable[Stretch], low: int, high: int, *, by_page: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The memory of ``stretches`` between two addresses (as shown), a megabyte or less at a time.

    :param by_page: rather a page at a time, where that is quicker; those that are the same page of
        the file are one object
    :returns: address as shown, and what is there; pages that are missing are left out
    """
    with contextlib.ExitStack() as stack:
        contents = _contents(session)
        if contents is not None:
            stack.enter_context(contents)
        for one in stretches:
            start = max(one.start, low - one.shift)
            end = min(one.end, high - one.shift)
            yield from _pieces(session.program, contents, one, start, end, by_page)


def quick(session: Session) -> bool:
    """Whether :func:`backed` may be asked: a sound dump of x86-64 that ``wr`` did not change."""
    platform = session.program.platform
    return _sound(session) and platform is not None and platform.arch is Architecture.X86_64


def _sound(session: Session) -> bool:
    dump = session.dump
    return session.overlay is None and (
        dump is not None and dump.format is DumpFormat.KDUMP and dump.complete and not dump.problems
    )


def _contents(session: Session) -> Contents | None:
    """The dump's pages without libkdumpfile; a file with any problem is left to that."""
    if session.dump is None or not _sound(session):
        return None
    try:
        return Contents(Path(session.dump.path))
    except KautopsyError:
        return None


def _pieces(
    program: Program,
    contents: Contents | None,
    stretch: Stretch,
    start: int,
    end: int,
    by_page: bool,
) -> Iterator[tuple[int, bytes]]:
    shift = stretch.shift
    own = contents if stretch.physical else None
    while start < end:
        size = min(CHUNK, end - start)
        pages = own.pages(start, size) if own is not None and by_page else None
        if pages is not None:
            block = size // len(pages)
            for page in pages:
                yield start + shift, page
                start += block
            continue
        try:
            raw = own.read(start, size) if own is not None and not by_page else None
            yield start + shift, raw or program.read(start, size, stretch.physical)
        except READ_ERRORS:
            yield from _by_page(program, stretch, start, start + size)
        start += size


def _by_page(
    program: Program, stretch: Stretch, start: int, end: int
) -> Iterator[tuple[int, bytes]]:
    while start < end:
        size = min(_PAGE - start % _PAGE, end - start)
        with contextlib.suppress(*READ_ERRORS):
            yield start + stretch.shift, program.read(start, size, stretch.physical)
        start += size
