"""The source line of a place in a kernel, and the lines around it.

LOCATION is what a kernel prints or a debugger takes: bio_endio+0x12a, bio_endio+0x12a/0x150,
'xfs_trans_commit+0x7 [xfs]', 0xffffffff811b292a. As with gdb's `list *LOCATION` the line is that of
the very address; for a frame of a backtrace, whose address is where a call returns to, add
--return-address.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kautopsy.cli._output import add_json, print_json
from kautopsy.model.base import Noun
from kautopsy.model.errors import ExitCode, UnreadableError, UsageError
from kautopsy.model.report import ListedLine
from kautopsy.report.escape import terminal
from kautopsy.symbols.source import SourceTree, render

if TYPE_CHECKING:
    from kautopsy.symbols.symbolise import Symbolised, Symboliser

_LOCATION = re.compile(
    r"\*?\s*(?:(?P<address>0x[0-9a-fA-F]{1,16})"
    r"|(?P<function>[A-Za-z_.][\w.$]*)"
    r"(?:\+(?P<offset>0x[0-9a-fA-F]{1,16}|\d{1,18})(?:/(?P<size>0x[0-9a-fA-F]{1,16}))?)?"
    r"(?:\s*\[(?P<module>[\w-]+)(?: [0-9a-f]+)?\])?)\s*"
)


class ListedPlace(Noun, frozen=True, kw_only=True):
    """A line and those around it; ``inline`` says that it was inlined into the next place."""

    function: str | None
    file: str | None
    line: int | None
    inline: bool
    source: tuple[ListedLine, ...]


class ListedLocation(Noun, frozen=True, kw_only=True):
    """One address that may be meant, innermost place first.

    :param address: as linked; None in a module, which has no address until it is loaded
    """

    address: int | None
    function: str
    offset: int
    module: str | None
    places: tuple[ListedPlace, ...]


class ListSourceDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy symbols list-source --json``: more than one location where the name is shared."""

    schema: Literal["kautopsy.list-source/1"] = "kautopsy.list-source/1"
    locations: tuple[ListedLocation, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("vmlinux", type=Path, metavar="VMLINUX", help="the kernel, with DWARF")
    parser.add_argument("location", metavar="LOCATION", help="FUNCTION+OFFSET[/SIZE] or an address")
    parser.add_argument("--source", type=Path, metavar="DIR", help="the kernel's sources")
    parser.add_argument(
        "--modules",
        type=Path,
        action="append",
        default=[],
        metavar="DIR|FILE",
        help="where the modules' debugging information is; may be repeated",
    )
    parser.add_argument(
        "--return-address", action="store_true", help="LOCATION is a frame of a backtrace"
    )
    parser.add_argument(
        "--kaslr-offset",
        type=_number,
        default=0,
        metavar="OFFSET",
        help="the `Kernel Offset` that the kernel printed, taken off a raw address",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look the location up and list it."""
    from kautopsy.symbols.symbolise import Symboliser

    match = _LOCATION.fullmatch(arguments.location)
    if match is None:
        raise UsageError(
            "not a location", thing=arguments.location, hint="for instance bio_endio+0x12a"
        )
    tree = SourceTree(arguments.source)
    symboliser = Symboliser(
        arguments.vmlinux, arguments.modules, kaslr_offset=arguments.kaslr_offset
    )
    found = _look_up(symboliser, match, return_address=arguments.return_address)
    if not found.locations:
        raise UnreadableError(
            found.problem or "not found", thing=arguments.location, slug="no-such-place"
        )
    document = ListSourceDocument(
        locations=tuple(
            ListedLocation(
                address=location.address if location.module is None else None,
                function=location.place.function,
                offset=location.address - location.place.address,
                module=location.module,
                places=tuple(
                    ListedPlace(
                        function=line.function,
                        file=line.file,
                        line=line.line,
                        inline=line.inline,
                        source=tuple(
                            tree.around(line.file, line.line) if line.file and line.line else ()
                        ),
                    )
                    for line in location.lines
                ),
            )
            for location in found.locations
        )
    )
    if arguments.json:
        print_json(document)
    else:
        _print(document, arguments.source)
    return ExitCode.OK


def _look_up(symboliser: Symboliser, match: re.Match[str], *, return_address: bool) -> Symbolised:
    if match["address"]:
        return symboliser.address(int(match["address"], 16), return_address=return_address)
    return symboliser.locate(
        match["function"],
        int(match["offset"] or "0", 0),
        size=int(match["size"], 16) if match["size"] else None,
        module=match["module"],
        return_address=return_address,
    )


def _print(document: ListSourceDocument, source: Path | None) -> None:
    if len(document.locations) > 1:
        print(f"{len(document.locations)} functions fit; all are listed.")
    for location in document.locations:
        where = (
            f"{location.function}+{location.offset:#x} [{location.module}]"
            if location.address is None
            else f"{location.address:#x}"
        )
        if not location.places:
            print(f"{terminal(where)} has no source line: assembler, or compiled without DWARF.")
        for level, place in enumerate(location.places):
            file = f"{place.file}:{place.line or '?'}" if place.file else "file unknown"
            lead = "inlined into" if level else f"{where} is in"
            print(terminal(f"{lead} {place.function or '?'} ({file})."))
            if place.source:
                print(terminal(render(list(place.source))))
            elif place.file and source is not None:
                print(terminal(f"  no such file or line under {source}"))
    places = [place for location in document.locations for place in location.places]
    if source is None and places and not any(place.source for place in places):
        print("The lines themselves need the kernel's sources: --source DIR.")


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not a number: {text}") from error
