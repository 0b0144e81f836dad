"""A directory that holds a machine's files: a mounted image, an unpacked backup."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kautopsy.host.files import (
    change_folder,
    pull_file,
    read_file,
    remove_path,
    replace_file,
    replace_link,
)
from kautopsy.host.host import RunResult
from kautopsy.host.local import run_here
from kautopsy.host.paths import PathKind, PathState, look_here
from kautopsy.model.errors import RefusedError, UnreadableError, UsageError

_MOST_LINKS = 40


class TreeHost:
    """A directory; symbolic links are followed as if it were ``/``, and never out of it.

    :raises UsageError: it is no directory
    """

    live = False

    def __init__(self, root: Path) -> None:
        self.name = f"tree:{root}"
        self.root = root.resolve()
        if not self.root.is_dir():
            raise UsageError("is no directory", thing=str(root), slug="no-tree")

    def resolve(self, path: str) -> Path:
        """Where ``path`` of the machine lies on this one, its symbolic links followed.

        :raises UnreadableError: the links go round in circles, or the path holds a NUL
        """
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del here[-1:]
                continue
            candidate = self.root.joinpath(*here, part)
            try:
                target = os.readlink(candidate)  # noqa: PTH115 - Path drops a leading "./"
            except (OSError, ValueError):
                here.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise UnreadableError("its symbolic links go round in circles", thing=path)
            if target.startswith("/"):
                here.clear()
            todo += [p for p in reversed(target.split("/")) if p not in ("", ".")]
        return self.root.joinpath(*here)

    def read(self, path: str) -> bytes:
        """See :meth:`kautopsy.host.host.Host.read`."""
        return read_file(self.resolve(path))

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """Refused.

        :raises RefusedError: always
        """
        raise RefusedError(
            f"{argv[0]} cannot run there", thing=self.name, hint="run it on the machine itself"
        )

    def write(self, path: str, contents: bytes, *, mode: int | None = None) -> None:
        """See :meth:`kautopsy.host.host.Host.write`."""
        replace_file(self.resolve(path), contents, mode=mode)

    def _entry(self, path: str) -> Path:
        """As :meth:`resolve`, but for a symbolic link that ``path`` itself is."""
        folder, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            return self.resolve(path)
        return self.resolve(folder) / name

    def look(self, path: str) -> PathState:
        """See :meth:`kautopsy.host.host.Host.look`."""
        return look_here(self._entry(path))

    def expand(self, pattern: str) -> tuple[str, ...]:
        """See :meth:`kautopsy.host.host.Host.expand`."""
        found = [""]
        for part in pattern.strip("/").split("/"):
            if not re.search(r"[*?[]", part):
                found = [f"{base}/{part}" for base in found]
                continue
            found = [f"{base}/{name}" for base in found for name in self._names(base, part)]
        return tuple(p for p in found if self.look(p).kind is not PathKind.ABSENT)

    def _names(self, folder: str, pattern: str) -> list[str]:
        """What a pattern means in a folder: as for sh, a leading dot must be written."""
        try:
            names = sorted(p.name for p in self.resolve(folder or "/").iterdir())
        except OSError:
            return []
        hidden = pattern.startswith(".")
        return [
            name
            for name in names
            if name.startswith(".") == hidden and fnmatch.fnmatchcase(name, pattern)
        ]

    def make_folder(self, path: str, mode: int) -> None:
        """See :meth:`kautopsy.host.host.Host.make_folder`."""
        entry = self._entry(path)
        change_folder(entry, lambda: entry.mkdir(mode))

    def link(self, path: str, target: str) -> None:
        """See :meth:`kautopsy.host.host.Host.link`."""
        replace_link(self._entry(path), target)

    def remove(self, path: str) -> None:
        """See :meth:`kautopsy.host.host.Host.remove`."""
        remove_path(self._entry(path))

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.script`."""
        return run_here(
            ["sh", "-s", "--", *arguments],
            stdin=text.encode(),
            timeout=timeout,
            name=self.name,
            environment={"KAUTOPSY_ROOT": str(self.root)},
        )

    def pull(self, path: str, *, offset: int = 0, squeeze: bool = False) -> Iterator[bytes]:
        """See :meth:`kautopsy.host.host.Host.pull`."""
        return pull_file(self.resolve(path), offset)
