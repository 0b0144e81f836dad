"""Where the lab keeps what it fetched, and the lock that keeps two labs from fetching at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kautopsy.lab.errors import LabError


def lab_cache() -> Path:
    """``$XDG_CACHE_HOME/kautopsy/lab`` (or below ``~/.cache``), made if it is not there.

    :raises LabError: it cannot be made
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.cache").expanduser()
    lab = root / "kautopsy" / "lab"
    try:
        lab.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"the cache cannot be made: {error.strerror}",
            thing=str(lab),
            hint="set XDG_CACHE_HOME to a directory with room",
            slug="no-cache",
        ) from None
    return lab


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold ``root`` alone: whoever comes second waits, and finds what the first one fetched."""
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def staged(final: Path) -> Iterator[Path]:
    """A directory beside ``final`` that takes its place if the block ends well, else vanishes."""
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    folder.chmod(0o755)
    try:
        yield folder
        if final.exists():
            shutil.rmtree(final)
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def disk_usage(folder: Path) -> int:
    """Bytes that the files below ``folder`` occupy on disk; hard links count once each."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink())
