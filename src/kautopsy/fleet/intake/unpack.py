"""Compressed files and archives, unpacked by a child process with limits.

Members are written as ``0``, ``1`` ... : a name in an archive is shown and never a path. Links,
devices and directories are passed over, and what is packed inside again stays packed. The child
has no network, little memory, and may write only so much.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kautopsy.fleet.intake.origin import safe_name
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError, error_from
from kautopsy.symbols.finder.extract import load_libarchive
from kautopsy.triage.child import Failure, confine

_MEMORY = 1 << 30
_BLOCK = 1 << 16
MOST_FILES = 1000
MOST_RATIO = 2000
"""Bytes out for one byte in: gzip reaches 1,030, a dump full of zero pages some hundreds."""
_NEVER_A_BOMB = 64 << 20
_SECONDS = 3600.0


class _Job(msgspec.Struct, frozen=True):
    archive: str
    folder: str
    limit: int


class _Answer(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Member:
    """A file that was unpacked, and how the archive calls it."""

    path: Path
    name: str


def unpack(
    archive: Path,
    folder: Path,
    *,
    limit: int,
    seconds: float = _SECONDS,
    command: Sequence[str] = (sys.executable, "-m", "kautopsy.fleet.intake.unpack"),
) -> tuple[Member, ...]:
    """Unpack ``archive`` into the empty directory ``folder``.

    :param limit: bytes of all files together
    :raises RefusedError: it holds more (``too-large``), too many files (``too-many-files``), or
        unpacks to absurdly more than it is (``bomb``)
    :raises UnreadableError: it is damaged, or of a kind that is not unpacked
    """
    folder.mkdir(exist_ok=True)
    job = msgspec.json.encode(_Job(str(archive), str(folder), limit))
    try:
        done = subprocess.run(command, input=job, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise RefusedError(
            f"was not unpacked in {seconds:.0f} s", thing=archive.name, slug="too-slow"
        ) from None
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except msgspec.DecodeError:
        raise UnreadableError(
            f"unpacking it ended with status {done.returncode}",
            thing=archive.name,
            slug="bad-archive",
        ) from None
    if answer.failure is not None:
        failure = answer.failure
        raise error_from(
            failure.exit_code,
            what=failure.what,
            thing=failure.thing,
            hint=failure.hint,
            slug=failure.slug,
        )
    return tuple(
        Member(folder / str(number), safe_name(name)) for number, name in enumerate(answer.names)
    )


def _main() -> int:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    load_libarchive()
    confine(_MEMORY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (job.limit + _BLOCK, job.limit + _BLOCK))
    try:
        answer = _Answer(names=tuple(_unpack(Path(job.archive), Path(job.folder), job.limit)))
    except KautopsyError as error:
        answer = _Answer(
            failure=Failure(error.slug, error.what, error.thing, error.hint, int(error.exit_code))
        )
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


def _unpack(archive: Path, folder: Path, limit: int) -> Iterator[str]:
    size = archive.stat().st_size
    written = 0
    libarchive = load_libarchive()
    try:
        with archive.open("rb") as file:
            kind = _format(file)
            file.seek(0)
            with libarchive.stream_reader(file, format_name=kind, filter_name="all") as reader:
                number = 0
                for entry in reader:
                    if kind != "raw" and (not entry.isfile or entry.islnk):
                        continue
                    if number >= MOST_FILES:
                        raise RefusedError(
                            f"it holds more than {MOST_FILES} files",
                            thing=archive.name,
                            slug="too-many-files",
                        )
                    with (folder / str(number)).open("xb") as out:
                        for block in entry.get_blocks(_BLOCK):
                            written += len(block)
                            _check(written, size, limit, archive)
                            out.write(block)
                    yield archive.stem if kind == "raw" else _text(entry.pathname)
                    number += 1
    except (KautopsyError, GeneratorExit):
        raise
    except (Exception, MemoryError) as error:  # libarchive's binding raises its own and ctypes'
        raise UnreadableError(
            f"cannot be unpacked: {str(error) or type(error).__name__}",
            thing=archive.name,
            slug="bad-archive",
        ) from error


def _check(written: int, size: int, limit: int, archive: Path) -> None:
    if written > limit:
        raise RefusedError(
            f"unpacks to more than {limit} bytes", thing=archive.name, slug="too-large"
        )
    if written > _NEVER_A_BOMB and written > MOST_RATIO * size:
        raise RefusedError(
            f"unpacks to more than {MOST_RATIO} times its size", thing=archive.name, slug="bomb"
        )


def _format(file: Any) -> str:
    """zip, tar (compressed or not), or one compressed file. Nothing else: libarchive knows formats
    (mtree) that name files of this machine.
    """
    head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    file.seek(0)
    start = b""
    with load_libarchive().stream_reader(file, format_name="raw", filter_name="all") as reader:
        for entry in reader:
            for block in entry.get_blocks(512):
                start += block
                if len(start) >= 512:
                    break
            break
    return "tar" if start[257:262] == b"ustar" else "raw"


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        os.umask(0o027)
        sys.exit(_main())
