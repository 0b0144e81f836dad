"""A report's file is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from kautopsy.model.errors import ExitCode, KautopsyError


class CannotWriteError(KautopsyError):
    """The file that was named for output cannot be written."""

    slug = "cannot-write"
    exit_code = ExitCode.USAGE


def check_writable(path: Path) -> None:
    """Fail before a long analysis rather than after it.

    :raises CannotWriteError: no such directory, no permission, or ``path`` is a directory
    """
    if path.is_dir():
        raise CannotWriteError("is a directory", thing=str(path), hint="name a file in it")
    parent = path.resolve().parent
    if not parent.is_dir():
        raise CannotWriteError("there is no such directory", thing=str(parent))
    target = path if _special(path) else parent
    if not os.access(target, os.W_OK):
        raise CannotWriteError("no permission to write", thing=str(target))


def write(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in place of whatever ``path`` holds, at once.

    A link stays one: what it points to is replaced. A pipe or a device is simply written to.

    :raises CannotWriteError: and then ``path`` is as it was
    """
    # Lone surrogates (bytes of a dead kernel that are no text) must not end the writing.
    data = text.encode("utf-8", "backslashreplace")
    try:
        if _special(path):
            path.write_bytes(data)
            return
        _replace(path.resolve(), data)
    except OSError as error:
        raise CannotWriteError(error.strerror or str(error), thing=str(path)) from error


def _special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _replace(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        # The umask can only be read by setting it.
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask
