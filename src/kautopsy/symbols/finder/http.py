"""Download a large file over a line that breaks: continued by range, watched, bounded.

What has arrived is kept in ``FILE.part``, and beside it what the server called that version
(``ETag`` or ``Last-Modified``), so that a later run asks for the rest with ``If-Range`` (RFC 9110,
section 13.1.5) and starts over if the file has changed meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO

import kautopsy
from kautopsy.model.errors import KautopsyError, UnreachableError

MIRROR_VARIABLE = "KAUTOPSY_DEBUGINFO_MIRROR"
"""Address under which ``HOST/PATH`` of every distribution is mirrored, as ``wget -m`` lays it."""

Watch = Callable[[int, int | None], None]
"""Called with the bytes that are there and those there will be, if the server tells."""

_BLOCK = 1 << 18
_ATTEMPTS = 4
_FIRST_PAUSE = 0.25
_MAX_TEXT = 64 << 20
_HOPELESS = (ConnectionRefusedError, socket.gaierror)
# Slower than this (elfutils' client has the same floor), a server counts as silent.
_MIN_BYTES_PER_STALL = 100 << 10
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class NotThereError(KautopsyError):
    """The server answers, and has no such file."""

    slug = "not-there"


@dataclass(frozen=True)
class Limits:
    """How patient to be.

    :param stall: seconds without a byte after which a connection is given up
    :param total: seconds for all attempts together; 0 is no limit
    :param size: bytes; a server that sends more is cut off; 0 is no limit but the disk's
    """

    stall: float = 30.0
    total: float = 0.0
    size: int = 16 << 30


@dataclass(frozen=True)
class Checksum:
    """What a repository's index says of a file: algorithm as :mod:`hashlib` names it, and hex."""

    algorithm: str
    value: str


def mirrored(url: str) -> str:
    """``url`` on the configured mirror, or as it is."""
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if not mirror:
        return url
    parts = urllib.parse.urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}"


def get_text(url: str, *, limits: Limits = Limits()) -> str:
    """A page: a listing, an answer in JSON.

    :raises NotThereError: the server has no such page
    :raises UnreachableError: it does not answer
    """
    try:
        with _open(url, {}, limits.stall) as answer:
            return answer.read(_MAX_TEXT).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"does not answer: {_cause(error)}", thing=url) from None


def download(
    url: str,
    path: Path,
    *,
    checksum: Checksum | None = None,
    watch: Watch | None = None,
    limits: Limits = Limits(),
) -> None:
    """Bring ``url`` to ``path``, continuing what an earlier run left in ``path`` + ``.part``.

    :raises NotThereError: the server has no such file
    :raises UnreachableError: it does not answer, stops answering, or is too slow
    :raises KautopsyError: wrong checksum, too large, no room on the disk, another process at it
    """
    part = path.with_name(path.name + ".part")
    with _alone(part):
        _persist(url, part, watch, limits)
        _version_file(part).unlink(missing_ok=True)
        if checksum is not None:
            verify_checksum(part, checksum, url)
        part.replace(path)


def _persist(url: str, part: Path, watch: Watch | None, limits: Limits) -> None:
    """Connect again, with longer and longer pauses, until all is there."""
    deadline = time.monotonic() + limits.total if limits.total else float("inf")
    failures = 0
    while True:
        had = _size(part)
        hopeless = False
        try:
            if _transfer(url, part, watch, limits, deadline):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise _refused(url, error) from None
            reason = f"HTTP {error.code}"
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise  # the disk, not the network
            reason = _cause(error)
            hopeless = isinstance(getattr(error, "reason", None), _HOPELESS)
        # A line that breaks every 100 MB still brings 1 GB.
        failures = 1 if _size(part) >= had + _MIN_BYTES_PER_STALL else failures + 1
        pause = _FIRST_PAUSE * 2.0 ** (failures - 1)
        if hopeless or failures >= _ATTEMPTS or time.monotonic() + pause > deadline:
            raise UnreachableError(
                f"the download failed: {reason}",
                thing=url,
                hint="what has arrived is kept: try again" if _size(part) else "",
            )
        time.sleep(pause)


def _transfer(url: str, part: Path, watch: Watch | None, limits: Limits, deadline: float) -> bool:
    """One connection; True if the file is complete."""
    have = _size(part)
    version = ""
    with contextlib.suppress(OSError):
        version = _version_file(part).read_text()
    headers = {}
    if have and version:
        headers = {"Range": f"bytes={have}-", "If-Range": version}
    else:
        have = 0
    try:
        answer = _open(url, headers, limits.stall)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing behind what we have: complete, if the server says the same length.
        if (error.headers.get("Content-Range") or "").rpartition("/")[2] == str(have):
            return True
        part.unlink()
        return False
    with answer:
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range") or "")
        if answer.status == 206 and (match is None or int(match[1]) != have):
            raise http.client.HTTPException("the server sent another range than asked for")
        if answer.status != 206:
            have = 0
        total = _total(answer.headers, have)
        _check_room(url, part, total, have, limits)
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        # A weak validator may not be used with If-Range.
        _version_file(part).write_text("" if version.startswith("W/") else version)
        with part.open("ab" if have else "wb") as file:
            got = _copy(answer, file, have, total, watch, limits, deadline, url)
    return total is None or got == total


def _copy(
    answer: http.client.HTTPResponse,
    file: BinaryIO,
    have: int,
    total: int | None,
    watch: Watch | None,
    limits: Limits,
    deadline: float,
    url: str,
) -> int:
    mark, since = have, time.monotonic()
    while block := answer.read1(_BLOCK):
        file.write(block)
        have += len(block)
        now = time.monotonic()
        if have - mark >= _MIN_BYTES_PER_STALL:
            mark, since = have, now
        elif now - since > limits.stall:
            raise TimeoutError(f"less than 100 KB came in {limits.stall:.0f} s")
        if limits.size and have > limits.size:
            raise KautopsyError(f"is larger than {limits.size} bytes", thing=url, slug="too-large")
        if watch is not None:
            watch(have, total)
        if now > deadline:
            raise TimeoutError(f"not done within {limits.total:.0f} s")
    return have


def _total(headers: Message, have: int) -> int | None:
    # debuginfod tells the size of what it unpacks on the fly in a header of its own.
    for name, add in (("Content-Length", have), ("X-DEBUGINFOD-SIZE", 0)):
        value = headers.get(name) or ""
        if value.isdecimal():
            return int(value) + add
    return None


def _check_room(url: str, part: Path, total: int | None, have: int, limits: Limits) -> None:
    if total is None:
        return
    if limits.size and total > limits.size:
        raise KautopsyError(f"is larger than {limits.size} bytes", thing=url, slug="too-large")
    free = shutil.disk_usage(part.parent).free
    if total - have > free:
        raise KautopsyError(
            f"needs {(total - have) >> 20} MiB, and {free >> 20} MiB are free",
            thing=str(part.parent),
            hint="XDG_CACHE_HOME moves the cache, `kautopsy symbols prune` empties it",
            slug="no-room",
        )


def verify_checksum(path: Path, checksum: Checksum, url: str) -> None:
    """Throw ``path`` away if its bytes are not what the index says.

    :raises KautopsyError: they are not
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, checksum.algorithm).hexdigest()
    if found != checksum.value:
        path.unlink()
        raise KautopsyError(
            f"{checksum.algorithm} is {found}, the repository says {checksum.value}",
            thing=url,
            hint="the download was thrown away: try again, or another mirror",
            slug="bad-checksum",
        )


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Two processes that append to one file would spoil it."""
    lock_file = part.with_name(part.name + ".lock")
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise KautopsyError(
                "another process is downloading it", thing=part.stem, slug="busy"
            ) from None
        try:
            yield
        finally:
            lock_file.unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _opener() -> urllib.request.OpenerDirector:
    # build_opener() would add file: and ftp:, which no redirect may lead to.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _open(url: str, headers: dict[str, str], stall: float) -> http.client.HTTPResponse:
    if not url.startswith(("http://", "https://")):
        raise KautopsyError("is no http address", thing=url, slug="bad-address")
    agent = {"User-Agent": f"kautopsy/{kautopsy.__version__}", "Accept-Encoding": "identity"}
    try:
        request = urllib.request.Request(url, headers=agent | headers)
    except ValueError:
        raise KautopsyError("is no http address", thing=url, slug="bad-address") from None
    answer = _opener().open(request, timeout=stall)
    if not isinstance(answer, http.client.HTTPResponse):
        raise KautopsyError("is no http address", thing=url, slug="bad-address")
    return answer


def _refused(url: str, error: urllib.error.HTTPError) -> KautopsyError:
    if error.code in (403, 404, 410):
        return NotThereError(f"the server has no such file (HTTP {error.code})", thing=url)
    return UnreachableError(f"answers HTTP {error.code} {error.reason}", thing=url)


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return str(reason if reason is not None else error) or type(error).__name__
