"""``function+offset/size`` and addresses → source lines, without a core and without a process.

What a kernel prints as ``bio_endio+0x12a/0x1b0`` is looked up in its vmlinux by name *and* size,
because hundreds of functions share a name; where several still fit, all are candidates and none is
preferred. A frame of a backtrace holds a *return* address, which belongs to the instruction after
the call, often of another line and sometimes of another function: one is subtracted, but never from
the instruction pointer of a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import drgn
import msgspec

from kautopsy.model.crash import Crash, Frame
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.symbols.finder.elf import identify
from kautopsy.symbols.kit import SUFFIX
from kautopsy.symbols.lines import ElfLines, SourceLine
from kautopsy.symbols.lines_kit import KitLines
from kautopsy.symbols.lines_symbols import KallsymsIndex, Place


@dataclass(frozen=True)
class Location:
    """One address that may be meant.

    :param address: as linked (without KASLR's offset) in the kernel; in a module, of a layout of
        our own
    :param lines: innermost first; the last is the function itself, those before were inlined
    """

    place: Place
    module: str | None
    address: int
    lines: tuple[SourceLine, ...]


@dataclass(frozen=True)
class Symbolised:
    """What is known of a frame: none (``problem`` says why), one or several locations."""

    locations: tuple[Location, ...]
    problem: str | None = None


class Symboliser:
    """A kernel's lines.

    :param vmlinux: the kernel's ELF file with DWARF, or a kit that was made from it
    :param modules: its modules: directories to search (``/usr/lib/debug/lib/modules/RELEASE``), or
        files (``.ko``, ``.ko.debug``, ``.debug``); read when first asked for
    :param kaslr_offset: ``Kernel Offset`` as the kernel printed it, for raw addresses
    :raises UnreadableError: ``vmlinux`` cannot be used
    """

    def __init__(
        self, vmlinux: Path, modules: Iterable[Path] = (), *, kaslr_offset: int = 0
    ) -> None:
        self.vmlinux = vmlinux
        self._kaslr_offset = kaslr_offset
        self._lines = KitLines(vmlinux) if vmlinux.suffix == SUFFIX else ElfLines(vmlinux)
        self._module_roots = tuple(modules)
        self._module_files: dict[str, list[Path]] | None = None
        self._modules: dict[str, KallsymsIndex | str] = {}
        self._cache: dict[int, tuple[SourceLine, ...]] = {}

    def locate(
        self,
        function: str,
        offset: int = 0,
        *,
        size: int | None = None,
        module: str | None = None,
        return_address: bool = False,
    ) -> Symbolised:
        """Where ``function+offset/size [module]`` is.

        :param offset: in bytes; :param size: as the kernel prints it, which tells namesakes apart
        :param return_address: take the line of the call that returns there
        """
        index: KallsymsIndex | str = self._lines.index if module is None else self._module(module)
        if isinstance(index, str):
            return Symbolised((), index)
        places = index.named(function)
        if not places:
            return Symbolised((), f"no function {function} in {module or self.vmlinux.name}")
        fitting = [place for place in places if size is None or place.size == size]
        if not fitting:
            sizes = ", ".join(sorted({hex(place.size) for place in places}))
            return Symbolised(
                (), f"{function} is {sizes} bytes long here, not {size:#x}: another build"
            )
        inside = [place for place in fitting if offset <= place.size]
        if not inside:
            longest = max(place.size for place in fitting)
            return Symbolised((), f"{function} is only {longest:#x} bytes long")
        # An offset of 0 is no return address: nothing before it was called.
        back = 1 if return_address and offset else 0
        return Symbolised(
            tuple(
                Location(
                    place,
                    module,
                    place.address + offset,
                    self._at(place.address + offset - back),
                )
                for place in inside
            )
        )

    def address(
        self, address: int, *, return_address: bool = False, offset: int | None = None
    ) -> Symbolised:
        """Where a raw address of the kernel proper is; KASLR's offset is taken off first.

        :param offset: KASLR's of this crash; None takes the one this was made with
        """
        linked = address - (self._kaslr_offset if offset is None else offset)
        back = 1 if return_address else 0
        place = self._lines.index.at(linked - back)
        if place is None:
            return Symbolised((), f"{address:#x} is in no function of {self.vmlinux.name}")
        return Symbolised((Location(place, None, linked, self._at(linked - back)),))

    def frame(
        self, frame: Frame, *, instruction: bool = False, offset: int | None = None
    ) -> Symbolised:
        """Where a frame is; ``instruction`` says that its address is the faulting one itself."""
        if frame.function is not None and frame.offset is not None:
            return self.locate(
                frame.function,
                frame.offset,
                size=frame.size,
                module=frame.module,
                return_address=not instruction,
            )
        if frame.address is not None and frame.module is None:
            return self.address(frame.address, return_address=not instruction, offset=offset)
        return Symbolised((), "neither an offset nor an address")

    def frames(
        self, frame: Frame, *, instruction: bool = False, offset: int | None = None
    ) -> tuple[Frame, ...]:
        """``frame`` with file and line, preceded by the functions inlined there.

        Unchanged where its place is unknown or ambiguous; :meth:`frame` tells which.
        """
        found = self.frame(frame, instruction=instruction, offset=offset)
        if len(found.locations) != 1:
            return (frame,)
        location = found.locations[0]
        if not location.lines:
            return (frame,)
        *inlined, own = location.lines
        return (
            *(
                Frame(
                    function=line.function,
                    module=frame.module,
                    file=line.file,
                    line=line.line,
                    inline=True,
                    reliable=frame.reliable,
                )
                for line in inlined
            ),
            msgspec.structs.replace(
                frame,
                function=frame.function or location.place.function,
                offset=location.address - location.place.address,
                size=location.place.size,
                file=own.file,
                line=own.line,
            ),
        )

    def crash(self, crash: Crash) -> Crash:
        """``crash`` with lines; frames that had some already, and inlined ones, stay."""
        frames: list[Frame] = []
        instruction = crash.instruction
        for number, frame in enumerate(crash.frames):
            if frame.inline or frame.file is not None:
                frames.append(frame)
                continue
            exact = (
                number == 0
                and instruction is not None
                and (frame.function, frame.offset) == (instruction.function, instruction.offset)
            )
            frames.extend(self.frames(frame, instruction=exact, offset=crash.kernel_offset))
        if instruction is not None and instruction.file is None:
            instruction = self.frames(instruction, instruction=True, offset=crash.kernel_offset)[-1]
        return msgspec.structs.replace(crash, frames=tuple(frames), instruction=instruction)

    def symbols(self) -> list[drgn.Symbol]:
        """All symbols of the kernel and of the modules opened so far, as drgn gives them."""
        symbols: list[drgn.Symbol] = self._lines.program.symbols()
        return symbols

    def forget(self) -> None:
        """Drop the lines remembered per address (a long-lived process may want their memory)."""
        self._cache.clear()

    def _at(self, address: int) -> tuple[SourceLine, ...]:
        lines = self._cache.get(address)
        if lines is None:
            lines = self._cache[address] = self._lines.at(address)
        return lines

    def _module(self, name: str) -> KallsymsIndex | str:
        """A module's symbols, or why there are none."""
        known = self._modules.get(name)
        if known is None:
            known = self._modules[name] = self._open_module(name)
        return known

    def _open_module(self, name: str) -> KallsymsIndex | str:
        if self._module_files is None:
            self._module_files = {}
            for path in _module_files(self._module_roots):
                self._module_files.setdefault(_module_name(path), []).append(path)
        files = self._module_files.get(name.replace("-", "_"), [])
        for path in files:
            identity = identify(path)
            if identity is None or not identity.has_dwarf:
                continue
            try:
                return self._lines.add_module(name, path)
            except KautopsyError as error:
                return str(error)
        if files:
            return f"no debugging information in {files[0]}"
        return f"no file of module {name}"


_KO = re.compile(r"\.(?:ko(?:\.debug)?|debug)$")
"""``objcopy --only-keep-debug`` writes what it is told to: ``x.ko.debug`` and ``x.debug`` both."""


def _module_files(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_dir():
            yield from sorted(path for path in root.rglob("*") if _KO.search(path.name))
        elif root.is_file():
            yield root
        else:
            raise UnreadableError("no such file or directory", thing=str(root))


def _module_name(path: Path) -> str:
    """``nf-tables.ko.debug`` → ``nf_tables``: KBUILD_MODNAME, as the kernel prints it."""
    return _KO.sub("", path.name).replace("-", "_")
