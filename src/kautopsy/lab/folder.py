"""The directory of a running guest: gone when the guest is, and swept up after a killed lab."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "kautopsy-guest-"
_LOCK = "lock"
# Between making a directory and locking it, another lab may look at it.
_YOUNG_SECONDS = 60.0


@contextlib.contextmanager
def guest_folder() -> Iterator[Path]:
    """A directory in TMPDIR for sockets, images and the console's log.

    Whoever was killed with SIGKILL left its own behind, unlocked: those are removed first.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def _sweep(parent: Path) -> None:
    limit = time.time() - _YOUNG_SECONDS
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            # A lock, not a pid: the other lab may live in another pid namespace.
            if folder.stat().st_mtime < limit and not folder.is_symlink():
                with (folder / _LOCK).open("r+") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
