"""Writes over a dump: kept in this session's memory, never in the dump's file."""

from __future__ import annotations

from dataclasses import dataclass, field

from drgn import Program

from kautopsy.kernel.census import forget
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import CommandError

_PAGE = 4096


@dataclass(frozen=True)
class Write:
    """One write: where, what was there, what is there now; ``physical`` addresses or virtual."""

    address: int
    before: bytes
    after: bytes
    physical: bool = False


@dataclass
class Overlay:
    """The writes of a session, laid over its program.

    A page that is written to is copied once and served from the copy.
    """

    program: Program
    writes: list[Write] = field(default_factory=list)
    _pages: dict[tuple[bool, int], bytearray] = field(default_factory=dict)

    def write(self, address: int, data: bytes, *, physical: bool = False) -> Write:
        """Lay ``data`` over ``address``.

        :raises CommandError: the page is not in the dump
        """
        try:
            before = self.program.read(address, len(data), physical)
        except READ_ERRORS as error:
            raise CommandError("that memory is not in the dump", thing=f"{address:x}") from error
        at = 0
        while at < len(data):
            here = address + at
            page, inside = here & ~(_PAGE - 1), here & (_PAGE - 1)
            count = min(len(data) - at, _PAGE - inside)
            self._page(page, physical)[inside : inside + count] = data[at : at + count]
            at += count
        made = Write(address, before, data, physical)
        self.writes.append(made)
        forget(self.program)
        return made

    def _page(self, page: int, physical: bool) -> bytearray:
        key = (physical, page)
        held = self._pages.get(key)
        if held is None:
            held = self._pages[key] = bytearray(self.program.read(page, _PAGE, physical))
            copy = held

            def read(address: int, count: int, offset: int, is_physical: bool) -> bytes:
                return bytes(copy[offset : offset + count])

            self.program.add_memory_segment(page, _PAGE, read, physical)
        return held
