"""A directory that fills: what comes in is read once it has stopped growing.

inotify tells what changed (where it does not, as on NFS, the directory is looked through every
minute). A file is left alone until its size and time have not moved for ``settle`` seconds; kdump
and makedumpfile write ``vmcore-incomplete`` and rename it, which is waited for by name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kautopsy.fleet.intake.ingest import walk

_UNFINISHED = ("-incomplete", ".incomplete", ".part", ".partial", ".tmp", ".swp", "~", ".filepart")
_LOOK_THROUGH = 60.0


def settled(
    folder: Path,
    *,
    settle: float,
    stop: threading.Event,
    look_through: float = _LOOK_THROUGH,
    on_wait: Callable[[int], None] | None = None,
) -> Iterator[Path]:
    """Files below ``folder`` as they become whole, those that lie there already first.

    One that changes later comes again. Ends when ``stop`` is set and nothing waits to settle.

    :param on_wait: called with the number of files that are still growing
    """
    from watchfiles import watch

    known: dict[Path, tuple[int, int]] = {}
    growing: dict[Path, tuple[tuple[int, int], float]] = {}
    looked = 0.0
    changes = watch(
        folder,
        stop_event=stop,
        watch_filter=None,
        rust_timeout=int(max(50, min(settle, 1.0) * 1000)),
        yield_on_timeout=True,
        raise_interrupt=False,
    )
    for changed in changes:
        now = time.monotonic()
        paths = {Path(path) for _change, path in changed}
        if now - looked >= look_through or not looked:
            looked = now
            paths |= set(walk(folder))
        for path in paths:
            state = _state(path)
            if state is None or known.get(path) == state or path.name.endswith(_UNFINISHED):
                growing.pop(path, None)
                continue
            if path not in growing or growing[path][0] != state:
                growing[path] = (state, now)
        for path, (state, since) in list(growing.items()):
            current = _state(path)
            if current is None:
                del growing[path]
            elif current != state:
                growing[path] = (current, now)
            elif now - since >= settle:
                del growing[path]
                known[path] = state
                yield path
        if on_wait is not None:
            on_wait(len(growing))


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a regular file; None where there is none (any more)."""
    try:
        if path.is_symlink() or not path.is_file() or path.name.startswith("."):
            return None
        info = path.stat()
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns
