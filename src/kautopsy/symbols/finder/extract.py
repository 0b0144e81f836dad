"""Take a vmlinux and some modules' debug files out of a package, and nothing else.

Packages are ``.deb``/``.ddeb`` (an ar archive with a compressed tar in it) and ``.rpm`` (a header
and a compressed cpio); libarchive reads both as a stream, so 5 GB of unpacked debuginfo never lie
on the disk. What is written is named by us: a member's name only decides whether it is wanted.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kautopsy.model.errors import MissingToolError, UnreadableError

_MODULE = re.compile(r"([A-Za-z0-9_-]{1,64})\.ko(?:\.(?:gz|xz|zst))?(?:\.debug)?")
_MAX_MEMBER = 16 << 30
_SUFFIXES = ("", ".debug")


@dataclass(frozen=True)
class Extracted:
    """What a package held.

    :param vmlinux: None if there is none for that release
    :param modules: ``NAME.ko.debug`` of those that were asked for and are there
    """

    vmlinux: Path | None
    modules: tuple[Path, ...]


def extract_kernel(
    package: Path, release: str, into: Path, *, modules: tuple[str, ...] = ()
) -> Extracted:
    """Unpack the files of kernel ``release`` from ``package`` into the directory ``into``.

    :param release: ``uname -r``; a package may hold several kernels' files
    :param modules: names as ``lsmod`` gives them; ``-`` and ``_`` are the same
    :raises UnreadableError: no package, damaged, or a member's name climbs out of it
    """
    wanted = {_plain(name) for name in modules}
    vmlinux: Path | None = None
    found: dict[str, Path] = {}
    with archive_errors(package), contextlib.closing(_members(package)) as members:
        for name, entry in members:
            if _is_vmlinux(name, release):
                vmlinux = into / "vmlinux"
                _write(entry, vmlinux, package)
            elif (module := _module(name, release)) in wanted and module is not None:
                found[module] = into / f"{module}.ko.debug"
                _write(entry, found[module], package)
            if vmlinux is not None and len(found) == len(wanted):
                break
    return Extracted(vmlinux, tuple(found[name] for name in sorted(found)))


def _is_vmlinux(name: str, release: str) -> bool:
    """Debian and Ubuntu; RHEL and Fedora; SUSE before and after it merged /usr."""
    return any(
        name.endswith(
            (
                f"usr/lib/debug/boot/vmlinux-{release}{suffix}",
                f"usr/lib/debug/lib/modules/{release}/vmlinux{suffix}",
                f"usr/lib/debug/usr/lib/modules/{release}/vmlinux{suffix}",
            )
        )
        for suffix in _SUFFIXES
    )


def _module(name: str, release: str) -> str | None:
    if f"/lib/modules/{release}/" not in f"/{name}":
        return None
    match = _MODULE.fullmatch(name.rpartition("/")[2])
    return _plain(match[1]) if match else None


def _plain(module: str) -> str:
    return module.replace("-", "_")


def _members(package: Path) -> Generator[tuple[str, Any], None, None]:
    """Name and libarchive entry of every regular file with bytes in it, in the order they lie."""
    with package.open("rb") as file:
        deb = file.read(8) == b"!<arch>\n"
        file.seek(0)
        libarchive = load_libarchive()
        # Only the formats that packages are: libarchive knows some (mtree) that name other files.
        with libarchive.stream_reader(file, format_name="ar" if deb else "cpio") as outer:
            if not deb:
                yield from _files(outer, package)
                return
            for entry in outer:
                if _name(entry).startswith("data.tar"):
                    blocks = _Blocks(entry.get_blocks())
                    with libarchive.stream_reader(blocks, format_name="tar") as inner:
                        yield from _files(inner, package)
                    return
            raise UnreadableError("has no data.tar", thing=str(package), slug="bad-package")


def _files(archive: Any, package: Path) -> Iterator[tuple[str, Any]]:
    for entry in archive:
        name = _name(entry)
        parts = name.split("/")
        if ".." in parts or name.startswith("/") or not name.isprintable():
            raise UnreadableError(
                f"has a member named {name!r}, which no distribution's package has",
                thing=str(package),
                hint="this is not what it says it is: do not install it",
                slug="hostile-package",
            )
        if entry.isfile and entry.size:
            yield name.removeprefix("./"), entry


def _name(entry: Any) -> str:
    """The member's name; libarchive's binding gives bytes where they are not UTF-8."""
    name = entry.pathname
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name or "")


def _write(entry: Any, path: Path, package: Path) -> None:
    size = 0
    with path.open("wb") as out:
        for block in entry.get_blocks():
            size += len(block)
            if size > _MAX_MEMBER:
                raise UnreadableError(
                    f"has a member of more than {_MAX_MEMBER >> 30} GiB",
                    thing=str(package),
                    slug="hostile-package",
                )
            out.write(block)
    if entry.size != size:
        raise UnreadableError("ends within a file", thing=str(package), slug="bad-package")


class _Blocks(io.RawIOBase):
    """The bytes of one member as a stream for a second reader."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            # The caller is C code, through which no exception passes: what the outer archive lacks
            # is missing in the inner one too, and its reader says so.
            with contextlib.suppress(Exception):
                self._rest = memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._rest))
        memoryview(buffer).cast("B")[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


@functools.cache
def load_libarchive() -> Any:
    """The library's module.

    :raises MissingToolError: the C library is not installed
    """
    try:
        import libarchive  # type: ignore[import-untyped]
    except (ImportError, OSError, AttributeError):
        # The Python package is there with kautopsy; the C library may not be.
        raise MissingToolError(
            "the C library is not installed",
            thing="libarchive",
            hint="install libarchive13 (Debian, Ubuntu) or libarchive (Fedora, RHEL, SUSE)",
        ) from None
    # Its warnings are about damage, which the build-id decides on; stderr is for progress.
    logging.getLogger("libarchive").addHandler(logging.NullHandler())
    return libarchive


@contextlib.contextmanager
def archive_errors(package: Path) -> Iterator[None]:
    """Turn libarchive's complaint about ``package`` into an :class:`UnreadableError`."""
    libarchive = load_libarchive()
    try:
        yield
    except libarchive.exception.ArchiveError as error:
        raise UnreadableError(
            f"cannot be unpacked: {error}", thing=str(package), slug="bad-package"
        ) from None
