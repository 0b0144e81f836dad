"""Fetched debugging information, kept by build-id until its room is needed.

``$XDG_CACHE_HOME/kautopsy/debuginfo/BUILD-ID/`` holds ``vmlinux``, the ``NAME.ko.debug`` that were
asked for and ``about.json``. Whatever is being written has a name that starts with a dot; it gets
its own name by one rename when it is complete and verified. The cache's size is bounded: what was
not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import KautopsyError, UsageError
from kautopsy.symbols.finder.elf import identify, kernel_release

SIZE_VARIABLE = "KAUTOPSY_DEBUGINFO_CACHE_SIZE"
"""Upper bound of the cache, with K, M, G or T; 0 keeps nothing but the last."""

DEFAULT_SIZE = 20 << 30
_ABOUT = "about.json"
_KEY = re.compile(r"[0-9a-f]{16,64}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
# A download that its process has not touched for so long has no process any more.
_STALE_SECONDS = 24 * 3600


class CachedKernel(Noun, frozen=True, kw_only=True):
    """One kernel in the cache.

    :param release: ``uname -r``, where the file tells
    :param source: where it came from: an address, a package
    :param modules: whose ``.ko.debug`` are there too
    :param size_bytes: of all its files, as allocated on disk
    :param used: when it was fetched or last looked up, seconds since 1970
    """

    build_id: str
    release: str | None
    source: str
    path: str
    modules: tuple[str, ...] = ()
    size_bytes: int = 0
    used: float = 0.0


class CacheContents(Noun, frozen=True, kw_only=True):
    """The whole cache, most recently used kernels first."""

    schema: Literal["kautopsy.symbols-list/1"] = "kautopsy.symbols-list/1"
    root: str
    limit_bytes: int
    kernels: tuple[CachedKernel, ...]


class _About(Noun, frozen=True, kw_only=True):
    release: str | None
    source: str


def cache_root() -> Path:
    """``$XDG_CACHE_HOME/kautopsy`` or ``~/.cache/kautopsy``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.cache").expanduser()
    return root / "kautopsy"


def parse_size(text: str) -> int:
    """Bytes from ``500M``, ``20G`` or a plain number; units are powers of 1024.

    :raises UsageError: it is none
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError("is no size", thing=text, hint="write 500M or 20G", slug="bad-size")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


@dataclass(frozen=True)
class DebuginfoCache:
    """The cache on disk; nothing is read or made before it is asked for."""

    root: Path

    def __init__(self, root: Path | None = None) -> None:
        object.__setattr__(self, "root", root or cache_root() / "debuginfo")

    @property
    def limit(self) -> int:
        """Bytes that the cache may hold: ``KAUTOPSY_DEBUGINFO_CACHE_SIZE``, or 20 GiB."""
        value = os.environ.get(SIZE_VARIABLE, "")
        return parse_size(value) if value else DEFAULT_SIZE

    def find(self, build_id: str | None, release: str | None) -> Path | None:
        """The vmlinux of ``build_id``, or without one the first of ``release``."""
        for kernel in self.kernels():
            if kernel.build_id == build_id or (build_id is None and kernel.release == release):
                folder = self.root / kernel.build_id
                with contextlib.suppress(OSError):
                    os.utime(folder / _ABOUT)
                return folder / "vmlinux"
        return None

    def modules_of(self, build_id: str) -> dict[str, Path]:
        """The cached ``.ko.debug`` files of a kernel, by module name with underscores."""
        folder = self.root / build_id
        if not _KEY.fullmatch(build_id) or not folder.is_dir():
            return {}
        return {_module_name(p.name): p for p in sorted(folder.glob("*.ko.debug"))}

    def kernels(self) -> tuple[CachedKernel, ...]:
        """All that is cached, most recently used first."""
        found = [k for folder in self._folders() if (k := self._kernel(folder)) is not None]
        return tuple(sorted(found, key=lambda kernel: -kernel.used))

    @contextlib.contextmanager
    def receive(self, name: str) -> Iterator[Path]:
        """A directory on the cache's disk to unpack into; it is gone when the block ends."""
        self._make_root()
        folder = Path(tempfile.mkdtemp(prefix=f".{name[:40]}-", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(
        self,
        vmlinux: Path,
        *,
        source: str,
        release: str | None = None,
        modules: tuple[Path, ...] = (),
    ) -> Path:
        """Move a verified vmlinux and modules' files in, and make room for them.

        :param release: ``uname -r``, for a debug file that does not tell

        :returns: the vmlinux's path in the cache
        :raises KautopsyError: the file has no build-id to keep it by
        """
        self._make_root()
        identity = identify(vmlinux)
        if identity is None or identity.build_id is None:
            raise KautopsyError(
                "has no build-id to keep it by", thing=str(vmlinux), slug="no-build-id"
            )
        about = _About(release=kernel_release(vmlinux) or release, source=source)
        final = self.root / identity.build_id
        if not (final / "vmlinux").is_file():
            self._remove(final)  # what is left of one that was spoilt
            with self.receive(identity.build_id) as folder:
                staged = folder / "kernel"
                staged.mkdir(mode=0o755)
                vmlinux.replace(staged / "vmlinux")
                (staged / _ABOUT).write_text(to_json(about))
                with contextlib.suppress(OSError):
                    # Another process was faster: its file has the same build-id.
                    staged.rename(final)
        vmlinux.unlink(missing_ok=True)
        for module in modules:
            module.replace(final / module.name)
        with contextlib.suppress(OSError):
            os.utime(final / _ABOUT)
        self.prune(keep=identity.build_id)
        return final / "vmlinux"

    def prune(self, *, max_size: int | None = None, keep: str = "") -> list[CachedKernel]:
        """Remove what was not used for longest until ``max_size`` bytes hold the rest.

        :param max_size: bytes; by default what ``KAUTOPSY_DEBUGINFO_CACHE_SIZE`` says, or 20 GiB
        :param keep: a build-id to leave, however large
        :returns: what was removed
        """
        if max_size is None:
            max_size = self.limit
        self._remove_abandoned()
        removed: list[CachedKernel] = []
        total = 0
        for kernel in self.kernels():
            total += kernel.size_bytes
            if total > max_size and kernel.build_id != keep:
                self._remove(self.root / kernel.build_id)
                total -= kernel.size_bytes
                removed.append(kernel)
        return removed

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o755)
        except OSError as error:
            raise KautopsyError(
                f"the cache cannot be made: {error.strerror}",
                thing=str(self.root),
                hint="set XDG_CACHE_HOME to a directory with room",
                slug="no-cache",
            ) from None

    def _folders(self) -> list[Path]:
        try:
            return [p for p in self.root.iterdir() if _KEY.fullmatch(p.name)]
        except OSError:
            return []

    def _kernel(self, folder: Path) -> CachedKernel | None:
        try:
            about = from_json((folder / _ABOUT).read_bytes(), _About)
            used = (folder / _ABOUT).stat().st_mtime
            size = sum(p.stat().st_blocks * 512 for p in folder.iterdir())
            if not (folder / "vmlinux").is_file():
                return None
        except (OSError, KautopsyError):
            return None
        return CachedKernel(
            build_id=folder.name,
            release=about.release,
            source=about.source,
            path=str(folder / "vmlinux"),
            modules=tuple(self.modules_of(folder.name)),
            size_bytes=size,
            used=used,
        )

    def _remove(self, folder: Path) -> None:
        # Out of sight first, in one step: a reader sees a whole kernel or none.
        doomed = folder.with_name(f".{folder.name}-{os.getpid()}-gone")
        with contextlib.suppress(OSError):
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def _remove_abandoned(self) -> None:
        if not self.root.is_dir():
            return
        limit = time.time() - _STALE_SECONDS
        for path in self.root.glob(".*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _module_name(file: str) -> str:
    return file.removesuffix(".ko.debug").replace("-", "_")
