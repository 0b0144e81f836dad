"""Write an initramfs: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace
/buffer-format.rst: magic 070701, 13 fields of 8 hex digits, names and data padded to 4 bytes).

Everything belongs to root and has one time stamp, so equal contents give equal archives.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from types import TracebackType
from typing import BinaryIO

_TRAILER = "TRAILER!!!"


class CpioWriter:
    """Write entries to ``file``; parent directories are made as they are needed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inode = 0
        self._seen: set[str] = set()

    def __enter__(self) -> CpioWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._entry(_TRAILER, 0, b"", inode=0)

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory; no harm if it is there already."""
        name = _name(path)
        if name and name not in self._seen:
            self._parents(name)
            self._add(name, stat.S_IFDIR | mode, b"")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file; the kernel lets a later one of the same name win."""
        name = _name(path)
        self._parents(name)
        self._add(name, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """A symbolic link to ``target``."""
        name = _name(path)
        self._parents(name)
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def node(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A character device."""
        name = _name(path)
        self._parents(name)
        self._add(name, stat.S_IFCHR | mode, b"", device=(major, minor))

    def _parents(self, name: str) -> None:
        parent = str(PurePosixPath(name).parent)
        if parent != ".":
            self.directory(parent)

    def _add(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._seen.add(name)
        self._inode += 1
        self._entry(name, mode, data, inode=self._inode, device=device)

    def _entry(
        self, name: str, mode: int, data: bytes, *, inode: int, device: tuple[int, int] = (0, 0)
    ) -> None:
        raw = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(raw), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._file.write(_padded(header + raw))
        self._file.write(_padded(data))


def _name(path: str) -> str:
    return str(PurePosixPath("/", path).relative_to("/")) if path.strip("/") else ""


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
