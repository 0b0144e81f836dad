"""Debugging information that is on this machine already.

The places are those where distributions and people put it; what decides is never a file's name
but the build-id note in it, or for kernels whose dumps have none (before 5.9) the ``Linux version``
banner.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.elf import identify, kernel_release

PATH_VARIABLE = "KAUTOPSY_DEBUGINFO_PATH"
"""Directories to look in besides, separated by colons."""

_DEBUG_ROOT = Path("/usr/lib/debug")
_BUILD_ID = re.compile(r"[0-9a-f]{16,64}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}")


@dataclass(frozen=True)
class WrongKernel:
    """A file that lies where the right one should, and is another kernel's.

    :param build_id: its own, lower-case hex, or None if it has none
    """

    path: Path
    build_id: str | None


@dataclass(frozen=True)
class LocalSearch:
    """What a search of this machine gave.

    :param path: the verified vmlinux
    :param wrong: files of the right name and another build: said, so that nobody wonders
    """

    path: Path | None
    wrong: tuple[WrongKernel, ...] = ()


def configured_directories() -> list[Path]:
    """The directories of ``KAUTOPSY_DEBUGINFO_PATH``."""
    value = os.environ.get(PATH_VARIABLE, "")
    return [Path(part).expanduser() for part in value.split(":") if part]


def find_local(
    build_id: str | None, release: str | None, *, near: Path | None = None
) -> Path | None:
    """A vmlinux with DWARF of exactly this build, or None.

    :param build_id: lower-case hex; if None, the file's banner must name ``release``
    :param release: ``uname -r`` of the kernel
    :param near: the dump, or its directory: people keep the vmlinux beside it
    """
    return search_local(build_id, release, near=near).path


def search_local(
    build_id: str | None, release: str | None, *, near: Path | None = None
) -> LocalSearch:
    """As :func:`find_local`, and which files of another build were in the way."""
    # Both come out of a dump, which is hostile: neither may lead out of the directories below.
    if build_id is not None:
        build_id = build_id.lower() if _BUILD_ID.fullmatch(build_id.lower()) else None
    if release is not None and not _RELEASE.fullmatch(release):
        release = None
    if build_id is None and release is None:
        return LocalSearch(None)
    wrong: list[WrongKernel] = []
    seen: set[Path] = set()
    for path in _places(build_id, release, near):
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        identity = identify(path)
        if identity is None or not identity.has_dwarf:
            continue
        if build_id is not None:
            right = identity.build_id == build_id
        else:
            right = release is not None and kernel_release(path) == release
        if right:
            return LocalSearch(path, tuple(wrong))
        # `vmlinux` beside a dump says nothing of a release; one named for it raises hopes.
        if release is not None and release in str(path):
            wrong.append(WrongKernel(path, identity.build_id))
    return LocalSearch(None, tuple(wrong))


def _places(build_id: str | None, release: str | None, near: Path | None) -> Iterator[Path]:
    if near is not None:
        folder = near if near.is_dir() else near.parent
        yield from _in_folder(folder, build_id, release)
    for folder in configured_directories():
        yield from _in_folder(folder, build_id, release)
    if build_id is not None:
        yield _by_build_id(_DEBUG_ROOT, build_id)
    if release is not None:
        yield from _by_release(release)
    cached = DebuginfoCache().find(build_id, release)
    if cached is not None:
        yield cached


def _by_build_id(root: Path, build_id: str) -> Path:
    return root / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"


def _by_release(release: str) -> Iterator[Path]:
    # Debian and Ubuntu; Fedora and RHEL; SUSE (whose /boot/vmlinux-REL.gz has no DWARF); a kernel
    # built on this machine, where `build` points to the tree.
    yield _DEBUG_ROOT / "boot" / f"vmlinux-{release}"
    yield _DEBUG_ROOT / "lib/modules" / release / "vmlinux"
    yield _DEBUG_ROOT / "usr/lib/modules" / release / "vmlinux"
    yield _DEBUG_ROOT / "boot" / f"vmlinux-{release}.debug"
    yield _DEBUG_ROOT / "usr/lib/modules" / release / "vmlinux.debug"
    yield _DEBUG_ROOT / "lib/modules" / release / "vmlinux.debug"
    yield Path("/boot") / f"vmlinux-{release}"
    yield Path("/lib/modules") / release / "build/vmlinux"
    yield Path("/lib/modules") / release / "vmlinux"


def _in_folder(folder: Path, build_id: str | None, release: str | None) -> Iterator[Path]:
    if build_id is not None:
        yield _by_build_id(folder, build_id)
        yield folder / build_id / "vmlinux"
        yield folder / f"{build_id}.debug"
    if release is not None:
        yield folder / f"vmlinux-{release}"
        yield folder / f"vmlinux-{release}.debug"
        yield folder / release / "vmlinux"
        yield folder / "usr/lib/debug/boot" / f"vmlinux-{release}"
        yield folder / "usr/lib/debug/lib/modules" / release / "vmlinux"
        yield folder / "boot" / f"vmlinux-{release}"
        yield folder / "lib/modules" / release / "vmlinux"
    yield folder / "vmlinux"
    yield folder / "vmlinux.debug"
