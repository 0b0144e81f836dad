"""Ask debuginfod servers: HTTP, by build-id (debuginfod(8), "WEBAPI").

``GET SERVER/buildid/HEX/debuginfo`` and ``…/executable``; 404 where the server has none. Servers
and limits come from the variables that all of elfutils' clients know: ``DEBUGINFOD_URLS``,
``DEBUGINFOD_TIMEOUT``, ``DEBUGINFOD_MAXTIME``, ``DEBUGINFOD_MAXSIZE``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from kautopsy.model.errors import KautopsyError
from kautopsy.symbols.finder.cache import cache_root
from kautopsy.symbols.finder.elf import identify
from kautopsy.symbols.finder.http import Limits, NotThereError, Watch, download

URLS_VARIABLE = "DEBUGINFOD_URLS"

# As long as elfutils' client believes a 404 (cache_miss_s).
_MISSING_SECONDS = 600
# What elfutils' client waits for the next 100 KB by default.
_TIMEOUT_SECONDS = 90


def servers() -> tuple[str, ...]:
    """The addresses in ``DEBUGINFOD_URLS``, in its order. Policies (``ima:…``) are no addresses."""
    words = os.environ.get(URLS_VARIABLE, "").split()
    return tuple(w.rstrip("/") for w in words if w.startswith(("http://", "https://")))


@dataclass(frozen=True)
class Answer:
    """What the servers said.

    :param path: the file, verified; None if no server has it
    :param server: who had it
    :param said: one sentence for each server that had it not
    """

    path: Path | None
    server: str = ""
    said: tuple[str, ...] = ()


def fetch(build_id: str, folder: Path, *, watch: Watch | None = None) -> Answer:
    """Bring the vmlinux of ``build_id`` into ``folder`` from the first server that has it.

    A server that fails is passed over and said; a file that is not what was asked for is thrown
    away and said.

    :param build_id: lower-case hex
    """
    said: list[str] = []
    for server in servers():
        mark = _missing_mark(server, build_id)
        if (minutes := _minutes_ago(mark)) is not None:
            said.append(f"{server}: had none {minutes} min ago")
            continue
        try:
            path = _from(server, build_id, folder, watch)
        except KautopsyError as error:
            said.append(f"{server}: {error.what}")
            continue
        if path is not None:
            return Answer(path, server, tuple(said))
        said.append(f"{server}: has none")
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    return Answer(None, "", tuple(said))


def _from(server: str, build_id: str, folder: Path, watch: Watch | None) -> Path | None:
    limits = _limits()
    # A kernel's file with DWARF has its code too, and servers list it under both names; one that
    # was split lies under the first.
    for kind in ("debuginfo", "executable"):
        path = folder / f"{_key(server)}-{build_id}.{kind}"
        with contextlib.suppress(NotThereError):
            url = f"{server}/buildid/{build_id}/{kind}"
            download(url, path, watch=watch, limits=limits)
            identity = identify(path)
            if identity is not None and identity.build_id == build_id and identity.has_dwarf:
                return path
            path.unlink()
            if identity is None or identity.build_id != build_id:
                found = identity.build_id if identity is not None else "no ELF file"
                raise KautopsyError(
                    f"sent {found} for {build_id}", thing=server, slug="wrong-build-id"
                )
    return None


def _limits() -> Limits:
    def number(name: str, default: int) -> int:
        value = os.environ.get(name, "")
        return int(value) if value.isdecimal() else default

    return Limits(
        stall=number("DEBUGINFOD_TIMEOUT", _TIMEOUT_SECONDS) or _TIMEOUT_SECONDS,
        total=number("DEBUGINFOD_MAXTIME", 0),
        size=number("DEBUGINFOD_MAXSIZE", 0) or Limits().size,
    )


def _missing_mark(server: str, build_id: str) -> Path:
    return cache_root() / "debuginfod" / f"{_key(server)}-{build_id}.missing"


def _key(server: str) -> str:
    return hashlib.sha256(server.encode()).hexdigest()[:16]


def _minutes_ago(mark: Path) -> int | None:
    try:
        age = time.time() - mark.stat().st_mtime
    except OSError:
        return None
    return int(age // 60) if 0 <= age < _MISSING_SECONDS else None
