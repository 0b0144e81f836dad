"""What was derived from a kernel's tables, kept on disk, so that the next dump opens faster.

An entry is found by the SHA-256 of the very bytes it was derived from, as they are in the dump at
hand: another build, or one changed bit, is another entry. It holds only what a pass over those
bytes would give again, after all their checks. Values are marshalled, as Python's own compiled
files are and for this version of Python only; a checksum finds damage, and files of another owner
are not read. Writers do not meet: each writes a file of its own and renames it.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

LIMIT_BYTES = 128 << 20
"""What the cache may take: a kernel takes about 5 MB. The entries unused for longest go first."""

# Part of every key: raised when what is derived, or how it is checked, changes.
_FORMAT = f"kautopsy tables 2 {sys.implementation.cache_tag} {sys.byteorder} {marshal.version}"
_SUFFIX = ".tables"
_CHECKSUM = 32
_LARGEST = 32 << 20


class TableCache:
    """Entries in ``folder``; a directory that cannot be had, or None, holds nothing."""

    def __init__(self, folder: Path | None, *, limit: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit

    def key(self, what: str, *parts: bytes) -> str:
        """The name of what is derived from ``parts``."""
        digest = hashlib.sha256(f"{_FORMAT} {what}".encode())
        for part in parts:
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()

    def get(self, key: str) -> Any:
        """The value under ``key``; None if there is none, or it is damaged or somebody else's."""
        if self._folder is None:
            return None
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            with path.open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_uid != os.geteuid() or about.st_size > _LARGEST:
                    return None
                content = file.read()
            if content[:_CHECKSUM] != _checksum(key, content[_CHECKSUM:]):
                return None
            value = marshal.loads(memoryview(content)[_CHECKSUM:])
            os.utime(path)  # it was of use just now
        except (OSError, ValueError, EOFError, TypeError):
            return None
        return value

    def put(self, key: str, value: Any) -> None:
        """Keep ``value``, made of tuples, lists, dicts, strings, bytes and integers.

        Where that is not possible nothing is kept.
        """
        if self._folder is None:
            return
        payload = marshal.dumps(value)
        if len(payload) + _CHECKSUM > _LARGEST:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
                try:
                    file.write(_checksum(key, payload) + payload)
                    file.close()
                    Path(file.name).replace(self._folder / f"{key}{_SUFFIX}")
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._prune()

    def _prune(self) -> None:
        assert self._folder is not None
        found = []
        for entry in os.scandir(self._folder):
            # Files without the suffix are being written, or were when their writer was killed.
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime, about.st_size, entry.path))
        found.sort(reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > self._limit:
                with contextlib.suppress(OSError):
                    Path(path).unlink()


def default_cache() -> TableCache:
    """``$XDG_CACHE_HOME/kautopsy/tables`` or ``~/.cache/kautopsy/tables``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if base.startswith("/") else Path("~/.cache").expanduser()
    except RuntimeError:  # nobody's home
        return TableCache(None)
    return TableCache(root / "kautopsy" / "tables")


def _checksum(key: str, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_CHECKSUM, key=key.encode()).digest()
