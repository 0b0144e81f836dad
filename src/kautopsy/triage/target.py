"""What a report is asked about: a dump, a directory in which one lies, or a log.

Told apart by content, never by name: captures are called ``vmcore``, ``dump.202611231022``,
``vmcore.flat``, ``host-2026-11-23-10:22:00.kdump`` and worse, and a console's log has any name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kautopsy.dump.header import read_dump
from kautopsy.dump.reader import FLATTENED_SIGNATURE
from kautopsy.model.dump import DumpFile
from kautopsy.model.errors import KautopsyError, UnreadableError

_MAGICS = (b"\x7fELF", b"KDUMP   ", FLATTENED_SIGNATURE)
_DEPTH = 3
"""``/var/crash/HOST/2026-11-23-10:22/vmcore`` is found from ``/var/crash``."""
_MOST_ENTRIES = 20_000
_SAMPLE = 64 << 10
_TEXT = bytes((*range(0x20, 0x7F), *range(0x80, 0x100), 0x09, 0x0A, 0x0D, 0x1B))
_MOST_LOGS = 20
_LARGEST_BESIDE = 64 << 20


@dataclass(frozen=True)
class Skipped:
    """A file that was not chosen, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class Target:
    """What to report on: a dump, a log, or a dump and the log that lies beside it."""

    dump: Path | None
    logs: tuple[Path, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def find_target(path: Path) -> Target:
    """What ``path`` is, or what in the directory ``path`` is to be reported.

    Of several dumps the newest complete one is chosen; an incomplete one only where no other is.

    :raises UnreadableError: no such file, neither dump nor log, a directory with nothing in it
    """
    try:
        # Reports are JSON, which is text: a name that is none cannot stand in one.
        str(path).encode()
    except UnicodeEncodeError:
        raise UnreadableError(
            "its name is no UTF-8 text", thing=str(path), slug="bad-name", hint="rename it"
        ) from None
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise UnreadableError("no such file", thing=str(path), slug="no-such-file") from None
    except PermissionError:
        raise UnreadableError(
            "no permission to read it", thing=str(path), slug="no-permission", hint="use sudo"
        ) from None
    if stat.S_ISDIR(mode):
        return _in_directory(path)
    if not stat.S_ISREG(mode):
        raise UnreadableError(
            "is neither a file nor a directory",
            thing=str(path),
            slug="not-a-file",
            hint="save it to a file first",
        )
    if is_text(path):
        return Target(dump=None, logs=(path,))
    return Target(dump=path)


def is_text(path: Path) -> bool:
    """Whether a file holds text: no dump's magic, and hardly any byte that no console sends.

    Serial consoles lose and garble bytes, so a few odd ones do not count. An empty file is none.
    """
    sample = _start(path, _SAMPLE)
    if not sample or sample.startswith(_MAGICS):
        return False
    return len(sample.translate(None, _TEXT)) <= 0.1 * len(sample)


def is_dump(path: Path) -> bool:
    """Whether a file begins as a dump does (or any ELF file)."""
    return _start(path, 16).startswith(_MAGICS)


def _start(path: Path, size: int) -> bytes:
    # O_NONBLOCK: what was a file a moment ago may be a FIFO now, and must not hang us.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise UnreadableError(
            "no permission to read it",
            thing=str(path),
            slug="no-permission",
            hint="dumps hold secrets and belong to root: use sudo, or copy it",
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(size)


def _in_directory(directory: Path) -> Target:
    dumps: list[tuple[bool, float, Path]] = []
    texts: list[tuple[float, Path]] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    for number, (path, info) in enumerate(_files(directory, _DEPTH)):
        if number == _MOST_ENTRIES:
            notes.append(f"only the first {_MOST_ENTRIES} files of {directory} were looked at")
            break
        try:
            if is_dump(path):
                dump = read_dump(path)
                dumps.append((dump.complete, info.st_mtime, path))
                if not dump.complete:
                    skipped.append(Skipped(path, _incomplete(dump)))
            elif info.st_size and is_text(path):
                texts.append((info.st_mtime, path))
        except KautopsyError as error:
            skipped.append(Skipped(path, error.what))
        except OSError as error:
            skipped.append(Skipped(path, error.strerror or str(error)))
    texts.sort(key=lambda text: text[0], reverse=True)
    if not dumps:
        if not texts:
            reasons = "; ".join(f"{one.path.name}: {one.why}" for one in skipped[:5])
            raise UnreadableError(
                "holds neither a dump nor a log" + (f" ({reasons})" if reasons else ""),
                thing=str(directory),
                slug="no-dump",
                hint="name the vmcore itself, or the directory it was saved in",
            )
        notes.append(f"no dump in {directory}: reporting the logs in it")
        return Target(
            dump=None,
            logs=tuple(path for _time, path in texts[:_MOST_LOGS]),
            skipped=tuple(skipped),
            notes=tuple(notes),
        )
    dumps.sort(reverse=True)
    complete, _time, chosen = dumps[0]
    skipped = [one for one in skipped if one.path != chosen]
    skipped += [Skipped(path, "an older dump") for whole, _time, path in dumps[1:] if whole]
    what = "the newest complete dump" if complete else "no dump is complete; the newest"
    notes.append(f"{what} of {len(dumps)} in {directory}: {chosen}")
    beside = tuple(
        path
        for _time, path in texts
        if path.parent == chosen.parent and path.stat().st_size <= _LARGEST_BESIDE
    )
    return Target(chosen, beside[:_MOST_LOGS], tuple(skipped), tuple(notes))


def _incomplete(dump: DumpFile) -> str:
    return "incomplete: " + ("; ".join(dump.problems) or "so its header says")


def _files(directory: Path, depth: int) -> Iterator[tuple[Path, os.stat_result]]:
    """The regular files below ``directory``; links to folders are not followed."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except PermissionError:
        if depth == _DEPTH:
            raise UnreadableError(
                "no permission to read it", thing=str(directory), slug="no-permission",
                hint="dumps belong to root: use sudo",
            ) from None  # fmt: skip
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if depth > 0:
                    yield from _files(Path(entry.path), depth - 1)
            elif entry.is_file():
                yield Path(entry.path), entry.stat()
        except OSError:
            continue
