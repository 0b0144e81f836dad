"""Files of this machine, read whole and replaced at once."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from kautopsy.host.paths import PARTIAL
from kautopsy.model.errors import UnreadableError

PIECE = 1 << 20
"""Bytes that are read of a large file at a time."""
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES, errno.ENOSYS}


def read_file(path: Path) -> bytes:
    """The contents of ``path``.

    :raises UnreadableError: it is missing (slug ``no-file``) or may not be read
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableError("does not exist", thing=str(path), slug="no-file") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(
            getattr(error, "strerror", None) or str(error), thing=str(path)
        ) from None


def pull_file(path: Path, offset: int) -> Iterator[bytes]:
    """The bytes of ``path`` from ``offset`` on, a mebibyte at a time.

    :raises UnreadableError: it is missing (slug ``no-file``) or may not be read
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while data := file.read(PIECE):
                yield data
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableError("does not exist", thing=str(path), slug="no-file") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(
            getattr(error, "strerror", None) or str(error), thing=str(path)
        ) from None


def replace_file(path: Path, contents: bytes, *, mode: int | None = None) -> None:
    """Replace ``path``, which is no symbolic link, by a file that was synced before it was renamed.

    :param mode: instead of the old file's, or 0644
    :raises UnreadableError: slug ``not-written``; the old file is as it was
    """
    partial = ""
    try:
        descriptor, partial = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            file.flush()
            _take_after(path, file.fileno())
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(partial).replace(path)
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:
        if partial:
            with contextlib.suppress(OSError):
                Path(partial).unlink()
        raise UnreadableError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}",
            thing=str(path),
            slug="not-written",
        ) from None


def _take_after(path: Path, descriptor: int) -> None:
    """Give the new file the owner, mode and extended attributes of the one it replaces."""
    try:
        old = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o7777)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return
        raise
    for name in names:
        value = os.getxattr(path, name, follow_symlinks=False)
        try:
            os.setxattr(descriptor, name, value)
        except OSError:
            # Where a label was inherited rather than set it may be the right one already.
            if os.getxattr(descriptor, name) != value:
                raise


def change_folder(path: Path, change: Callable[[], None]) -> None:
    """Do ``change`` to an entry of a folder, ``path``, and have the folder on disk.

    :raises UnreadableError: slug ``not-written``
    """
    try:
        change()
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:
        raise UnreadableError(
            f"cannot be changed: {getattr(error, 'strerror', None) or error}",
            thing=str(path),
            slug="not-written",
        ) from None


def replace_link(path: Path, target: str) -> None:
    """Make a symbolic link, at once in place of what was there.

    :raises UnreadableError: slug ``not-written``
    """

    def change() -> None:
        partial = path.with_name(f"{PARTIAL}{os.getpid()}")
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(path)

    change_folder(path, change)


def remove_path(path: Path) -> None:
    """Remove a file, a link or an empty folder, if it is there.

    :raises UnreadableError: slug ``not-written``
    """

    def change() -> None:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)

    if path.parent.is_dir():
        change_folder(path, change)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
