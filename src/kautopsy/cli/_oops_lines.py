"""Where `oops` gets source lines from: a vmlinux or a kit, named or found by release or build."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.model.errors import KautopsyError, UnreadableError, UsageError

if TYPE_CHECKING:
    from kautopsy.model.crash import Crash, Frame
    from kautopsy.model.report import SourceAround
    from kautopsy.symbols.source import SourceTree
    from kautopsy.symbols.symbolise import Symboliser


def add_symbols(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where lines come from."""
    group = parser.add_argument_group("source lines")
    kernel = group.add_mutually_exclusive_group()
    kernel.add_argument("--vmlinux", type=Path, metavar="FILE", help="the kernel, with DWARF")
    kernel.add_argument(
        "--kit", type=Path, metavar="FILE", help="a kit of the kernel that has source lines"
    )
    group.add_argument(
        "--modules",
        type=Path,
        action="append",
        default=[],
        metavar="DIR|FILE",
        help="where the modules' debugging information is; may be repeated",
    )
    group.add_argument(
        "--debuginfo",
        choices=("auto", "never"),
        default="auto",
        help="auto: use the vmlinux or kit of the text's kernel that is on this machine; never: "
        "only what is named",
    )
    group.add_argument(
        "--source", type=Path, metavar="DIR", help="show the kernel's source around every frame"
    )


def open_lines(arguments: argparse.Namespace) -> Lines:
    """What the arguments ask for."""
    if arguments.modules and not arguments.vmlinux:
        raise UsageError("--modules needs --vmlinux", hint="modules are of one kernel's build")
    tree = None
    if arguments.source is not None:
        from kautopsy.symbols.source import SourceTree

        tree = SourceTree(arguments.source)
    named = None
    if arguments.vmlinux is not None:
        from kautopsy.symbols.symbolise import Symboliser

        named = Symboliser(arguments.vmlinux, arguments.modules)
    elif arguments.kit is not None:
        from kautopsy.symbols.kit import SUFFIX
        from kautopsy.symbols.symbolise import Symboliser

        if arguments.kit.suffix != SUFFIX:
            raise UsageError(
                "not a kit", thing=str(arguments.kit), hint="its name ends in .kit; or --vmlinux"
            )
        named = Symboliser(arguments.kit)
    elif arguments.annotate and arguments.debuginfo == "never":
        raise UsageError("--annotate needs a vmlinux", hint="name it with --vmlinux FILE")
    return Lines(named, tree, search=arguments.debuginfo == "auto")


class Lines:
    """Gives crashes their lines.

    :param named: of the vmlinux or kit that the user named; it is used for every crash
    :param tree: sources to show
    :param search: look for the vmlinux or kit of a crash's kernel on this machine
    """

    def __init__(self, named: Symboliser | None, tree: SourceTree | None, *, search: bool) -> None:
        self._named = named
        self._tree = tree
        self._search = search and named is None
        self._found: dict[tuple[str | None, str | None], Symboliser | None] = {}

    def symbolise(self, crash: Crash) -> Crash:
        """``crash`` with the lines that can be had."""
        symboliser = self._for(crash.release, crash.build_id)
        return crash if symboliser is None else symboliser.crash(crash)

    def notes(self, crash: Crash) -> list[str]:
        """Why lines are missing, or which of several functions a frame may be in."""
        symboliser = self._for(crash.release, crash.build_id)
        if symboliser is None:
            if self._tree is not None:
                return [f"no vmlinux of {crash.release or 'this release'}: name it with --vmlinux"]
            return []
        notes: dict[str, None] = {}
        for frame in crash.frames:
            if frame.file is not None or frame.inline or not frame.reliable:
                continue
            found = symboliser.frame(frame, instruction=_executes(crash, frame))
            if found.problem is not None:
                notes[found.problem] = None
            elif len(found.locations) > 1:
                places = " or ".join(
                    f"{place.lines[-1].file}:{place.lines[-1].line}" if place.lines else "?"
                    for place in found.locations
                )
                notes[f"{frame.function} is the name of {len(found.locations)}: {places}"] = None
        return list(notes)[:8]

    def source(self, crash: Crash, number: int = 0) -> tuple[SourceAround, ...]:
        """The source around every place that the kernel vouches for, each place once.

        :param number: the crash's, among those shown together
        """
        if self._tree is None:
            return ()
        sure = any(frame.reliable for frame in crash.frames)
        places = [
            (index, frame) for index, frame in enumerate(crash.frames) if frame.reliable or not sure
        ]
        executing = crash.instruction
        shown: list[SourceAround] = []
        if executing is not None and not any(_same(frame, executing) for frame in crash.frames):
            shown += self._around(crash, number, None, executing, set())
        seen: set[tuple[str, int]] = set()
        for index, frame in places:
            shown += self._around(crash, number, index, frame, seen)
        return tuple(shown)

    def _around(
        self,
        crash: Crash,
        number: int,
        index: int | None,
        frame: Frame,
        seen: set[tuple[str, int]],
    ) -> Iterator[SourceAround]:
        """The lines around one frame; around every candidate's where several functions fit."""
        from kautopsy.model.report import SourceAround

        assert self._tree is not None
        places = [(frame.file, frame.line)]
        if frame.file is None:
            symboliser = self._for(crash.release, crash.build_id)
            executes = _executes(crash, frame)
            found = symboliser.frame(frame, instruction=executes) if symboliser else None
            inner = [place.lines[0] for place in found.locations if place.lines] if found else []
            places = [(line.file, line.line) for line in inner]
        for file, line in places:
            if file is None or line is None:
                continue
            lines = tuple(self._tree.around(file, line))
            place = (file, line if lines else 0)
            if place in seen:
                continue
            seen.add(place)
            yield SourceAround(crash=number, frame=index, file=file, line=line, lines=lines)

    def annotate(self, texts: Iterable[str], release: str | None) -> Iterator[str]:
        """``texts`` with the lines of the vmlinux that was named, or of the one of ``release``.

        :raises UnreadableError: there is none
        """
        from kautopsy.symbols.lines_annotate import annotate

        symboliser = self._for(release)
        if symboliser is None:
            raise UnreadableError(
                f"no vmlinux of {release}" if release else "the text names no kernel's release",
                hint="name it with --vmlinux FILE",
                slug="no-debuginfo",
            )
        return annotate(texts, symboliser)

    @property
    def is_named(self) -> bool:
        """Whether the user named the vmlinux or kit."""
        return self._named is not None

    def _for(self, release: str | None, build_id: str | None = None) -> Symboliser | None:
        if self._named is not None or not self._search or not (release or build_id):
            return self._named
        kernel = (release, build_id)
        if kernel not in self._found:
            self._found[kernel] = _found(release, build_id)
        return self._found[kernel]


def _same(frame: Frame, other: Frame) -> bool:
    return (frame.function, frame.offset) == (other.function, other.offset)


def _executes(crash: Crash, frame: Frame) -> bool:
    """Whether ``frame`` is where the processor was, not where a call returns to."""
    return crash.instruction is not None and _same(frame, crash.instruction)


def _found(release: str | None, build_id: str | None) -> Symboliser | None:
    from kautopsy.symbols.finder.local import find_local
    from kautopsy.symbols.kit import find_kit

    vmlinux = find_local(build_id, release)
    modules = Path("/usr/lib/debug/lib/modules") / release if release else None
    if vmlinux is None:
        kit = find_kit(build_id, release)
        if kit is None or not kit.has_lines:
            return None
        vmlinux, modules = kit.path, None
    from kautopsy.symbols.symbolise import Symboliser

    try:
        return Symboliser(vmlinux, [modules] if modules is not None and modules.is_dir() else [])
    except KautopsyError:
        return None
