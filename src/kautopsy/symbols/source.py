"""The source around a line, out of a tree of sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kautopsy.model.errors import UnreadableError
from kautopsy.model.report import ListedLine

_MAX_FILE = 16 << 20


@dataclass(frozen=True)
class SourceTree:
    """Sources of a kernel.

    :param root: the tree's top. None: files are looked for where the compiler saw them, which
        works on the machine that built the kernel
    """

    root: Path | None = None

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_dir():
            raise UnreadableError("no such directory", thing=str(self.root), slug="no-source")

    def find(self, file: str) -> Path | None:
        """The file that debugging information calls ``file``; None if it is not in the tree.

        Names are relative to the tree's top, or absolute on the machine that built the kernel, of
        which leading directories are dropped until the rest exists here. Nothing outside of the
        tree is ever found.
        """
        if self.root is None:
            path = Path(file)
            return path if path.is_absolute() and path.is_file() else None
        parts = [part for part in PurePosixPath(file).parts if part not in ("/", ".", "..")]
        root = self.root.resolve()
        for dropped in range(len(parts)):
            path = root.joinpath(*parts[dropped:]).resolve()
            if path.is_file() and path.is_relative_to(root):
                return path
        return None

    def around(self, file: str, line: int, *, before: int = 5, after: int = 4) -> list[ListedLine]:
        """The lines around ``line``, by default the ten that gdb's ``list`` shows.

        None where the file is not in the tree or is shorter.
        """
        path = self.find(file)
        if path is None:
            return []
        text = _read(path)
        if not 1 <= line <= len(text):
            return []
        # gdb shows ten lines at the start of a file too.
        first = max(line - before, 1)
        last = min(first + before + after, len(text))
        return [
            ListedLine(number=number, text=text[number - 1], marked=number == line)
            for number in range(first, last + 1)
        ]


@lru_cache(maxsize=256)
def _read(path: Path) -> tuple[str, ...]:
    if path.stat().st_size > _MAX_FILE:
        return ()
    return tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())


def render(lines: Iterable[ListedLine]) -> str:
    """As gdb's ``list`` prints them: number, tab, text; ``>`` marks the line."""
    return "\n".join(f"{'>' if line.marked else ' '}{line.number}\t{line.text}" for line in lines)
