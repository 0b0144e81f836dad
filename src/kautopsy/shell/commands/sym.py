"""``sym``: names to addresses and back, with source lines."""

from __future__ import annotations

import argparse
import bisect
import re
from collections.abc import Iterator

from drgn import Program, RelocatableModule, Symbol, SymbolBinding, SymbolKind

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.source import source_line


class UnknownSymbolError(CommandError):
    """No symbol has this name."""


@command(
    "sym",
    "translate a symbol to its virtual address, or vice-versa",
    usage="[-l] | [-M] | [-m module] | [-p|-n] | [-q string] | [symbol | vaddr] ...",
    arguments=(
        flag("-l", "all symbols of the kernel", dest="all"),
        flag("-M", "all symbols of modules", dest="modules"),
        argument("-m", dest="module", help="all symbols of a module"),
        flag("-p", "the symbol before, too", dest="previous"),
        flag("-n", "the symbol after, too", dest="next"),
        argument("-q", dest="query", metavar="string", help="symbols whose names hold a string"),
        argument("names", nargs="*", metavar="symbol|vaddr"),
    ),
    drgn="""
    prog.symbol("jiffies")        # by name
    prog.symbol(0xffff...)        # by address
    prog.source_location(0xffff...)
    """,
)
def sym(session: Session, arguments: argparse.Namespace) -> Lines:
    """Symbols by name or by an address inside them.

    The letter is nm's: T text, D data, B zeroed data, R read-only, W weak; lower case is local.
    """
    program = session.program
    kinds = Letters(program)
    if arguments.all:
        for symbol in kernel_symbols(session):
            yield f"{symbol.address:x} ({kinds.of(symbol)}) {symbol.name}"
        return
    if arguments.modules or arguments.module:
        yield from _modules(session, arguments.module, kinds)
        return
    if arguments.query is not None:
        yield from _query(session, arguments.query, kinds)
        return
    if not arguments.names:
        raise BadArgumentsError("a symbol or address is missing", hint="help sym")
    for name in arguments.names:
        try:
            found = lookup(program, name)
        except UnknownSymbolError:
            yield f"symbol not found: {name}"
            yield "possible alternatives:"
            for line in _query(session, name, kinds):
                yield f"  {line}"
            continue
        if arguments.previous:
            yield from _beside(session, found[0][0], -1, kinds)
        for symbol, offset in found:
            yield _line(session, symbol, offset, kinds)
        if arguments.next:
            yield from _beside(session, found[-1][0], 1, kinds)


def symbol_lines(session: Session, word: str) -> Iterator[str]:
    """The lines of ``sym word``."""
    kinds = Letters(session.program)
    for symbol, offset in lookup(session.program, word):
        yield _line(session, symbol, offset, kinds)


def lookup(program: Program, word: str) -> list[tuple[Symbol, int]]:
    """The symbols that ``word`` means: a name, ``name+offset``, or an address inside one.

    :raises CommandError: none
    """
    match = re.fullmatch(r"([A-Za-z_.][\w.$]*)(?:\+(0x[0-9a-fA-F]+|\d+))?", word)
    if match is not None:
        named = program.symbols(match[1])
        if named:
            offset = int(match[2], 0) if match[2] else 0
            ordered = sorted(named, key=lambda one: one.address)
            return [(one, offset) for one in ordered]
    try:
        address = int(word, 16)
    except ValueError:
        raise UnknownSymbolError("symbol not found", thing=word, hint=f"sym -q {word}") from None
    try:
        symbol = program.symbol(address)
    except LookupError:
        raise CommandError("invalid address", thing=f"{address:x}") from None
    return [(symbol, address - symbol.address)]


def _line(session: Session, symbol: Symbol, offset: int, kinds: Letters) -> str:
    address = symbol.address + offset
    shown = f"{symbol.name}+{offset}" if offset else symbol.name
    line = f"{address:x} ({kinds.of(symbol)}) {shown}"
    module = kinds.module(address)
    if module:
        line += f" [{module}]"
    if symbol.kind is SymbolKind.FUNC or kinds.is_text(address):
        place = source_line(session.program, address)
        if place:
            line += f" {place}"
    return line


def _beside(session: Session, symbol: Symbol, step: int, kinds: Letters) -> Iterator[str]:
    known = kernel_symbols(session)
    addresses = [one.address for one in known]
    at = bisect.bisect_left(addresses, symbol.address)
    if step > 0:
        at = bisect.bisect_right(addresses, symbol.address) - 1
    other = at + step
    if 0 <= other < len(known):
        yield _line(session, known[other], 0, kinds)


def kernel_symbols(session: Session) -> list[Symbol]:
    """All symbols of the kernel proper, by address."""

    def read() -> list[Symbol]:
        modules = _bounds(session.program)
        return sorted(
            (
                one
                for one in session.program.symbols()
                if one.name
                and one.kind not in (SymbolKind.FILE, SymbolKind.SECTION)
                and not _is_constant(one)
                and not any(low <= one.address < high for low, high, _name in modules)
            ),
            key=lambda one: (one.address, one.name),
        )

    found = session.cached("kernel_symbols", read)
    assert isinstance(found, list)
    return found


def _is_constant(symbol: Symbol) -> bool:
    """A number to which assembler source gave a name (``LSB_CRC``): vmlinux's table has them."""
    return (
        symbol.address < 1 << 32
        and symbol.kind is SymbolKind.UNKNOWN
        and symbol.binding is SymbolBinding.LOCAL
    )


def _bounds(program: Program) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for module in program.modules():
        if isinstance(module, RelocatableModule):
            found += [(low, high, module.name) for low, high in module.address_ranges or ()]
    return sorted(found)


def _modules(session: Session, only: str | None, kinds: Letters) -> Iterator[str]:
    program = session.program
    names = {name for _low, _high, name in _bounds(program)}
    if only is not None and only not in names:
        raise CommandError("no such module", thing=only, hint="mod lists them")
    symbols = sorted(program.symbols(), key=lambda one: (one.address, one.name))
    addresses = [one.address for one in symbols]
    for low, high, name in _bounds(program):
        if only is not None and name != only:
            continue
        inside = symbols[bisect.bisect_left(addresses, low) : bisect.bisect_left(addresses, high)]
        # As crash has them: of several at one address the aliases (cleanup_module) come last.
        inside.sort(key=lambda one: one.name, reverse=True)
        inside.sort(key=lambda one: one.address)
        if not inside:
            continue
        section = kinds.section(program, name, low)
        yield f"{low:x} MODULE {section}START: {name}"
        for one in inside:
            yield f"{one.address:x} ({kinds.of(one)}) {one.name}"
        yield f"{high:x} MODULE {section}END: {name}"


def _query(session: Session, text: str, kinds: Letters) -> Iterator[str]:
    from kautopsy.shell.catalogue import symbol_names

    program = session.program
    found: list[Symbol] = []
    for name in symbol_names(program):
        if text in name:
            found += program.symbols(name)
    if not found:
        raise CommandError("no symbol holds this string", thing=text)
    for one in sorted(found, key=lambda one: (one.address, one.name)):
        module = kinds.module(one.address)
        tail = f" [{module}]" if module else ""
        yield f"{one.address:x} ({kinds.of(one)}) {one.name}{tail}"


class Letters:
    """nm's letters, from where a symbol lies."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._sections: list[tuple[range, str]] = []
        for low, high, letter in (
            ("_stext", "_etext", "t"),
            ("_sinittext", "_einittext", "t"),
            ("__start_rodata", "__end_rodata", "r"),
            ("__bss_start", "__bss_stop", "b"),
        ):
            try:
                bounds = range(program.symbol(low).address, program.symbol(high).address)
            except LookupError:
                continue
            self._sections.append((bounds, letter))
        self._bounds = _bounds(program)
        self._lows = [low for low, _high, _name in self._bounds]

    def of(self, symbol: Symbol) -> str:
        """The letter of a symbol."""
        if symbol.binding is SymbolBinding.WEAK:
            return "W" if symbol.address else "w"
        if symbol.address < 1 << 32:
            # x86 links per-CPU variables at 0 until 6.15; kallsyms calls them absolute.
            letter = "d"
        else:
            letter = next(
                (letter for bounds, letter in self._sections if symbol.address in bounds), ""
            ) or ("t" if symbol.kind is SymbolKind.FUNC else "d")
        return letter.upper() if symbol.binding is SymbolBinding.GLOBAL else letter

    def is_text(self, address: int) -> bool:
        """Whether an address is code of the kernel."""
        return any(address in bounds for bounds, letter in self._sections if letter == "t")

    def module(self, address: int) -> str:
        """The module an address lies in, '' for none."""
        at = bisect.bisect_right(self._lows, address) - 1
        if at < 0:
            return ""
        low, high, name = self._bounds[at]
        return name if low <= address < high else ""

    def section(self, program: Program, module: str, low: int) -> str:
        """What a module's memory at ``low`` holds: ``TEXT ``, or ``DATA `` where it is no code.

        Until Linux 6.4 (ac3b43283923) all of a module lay in one place: ''.
        """
        if sum(name == module for _low, _high, name in self._bounds) < 2:
            return ""
        try:
            base = next(one.address for one in program.modules() if one.name == module)
        except (StopIteration, *READ_ERRORS):
            return "TEXT "
        return "TEXT " if base == low else "DATA "
