"""Known crashes: a directory of logs and reports, or JSON lines, made ready for ranking.

Reading a log is another room's work: whoever asks hands in the reader. As reading thousands of logs
takes seconds and asking them takes a fraction of one, what was read is kept in a file beside the
user's other caches, under a name made of the corpus' path, sizes and times.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from kautopsy.fingerprint.exact import VERSION, fingerprint
from kautopsy.fingerprint.features import Features, features
from kautopsy.fingerprint.ranking import Known
from kautopsy.model.crash import Crash
from kautopsy.model.errors import UnreadableError

Reader = Callable[[str], Sequence[Crash]]
"""Console text → the crashes in it, with the lines where they stand."""

_RECIPE = 1
"""Of the cache's contents; to be raised with whatever changes features or the reader."""
_MAX_LOG = 64 << 20
_MAX_KEPT = 8
"""Corpora in the cache; one that changed leaves its old contents behind."""
_DUMPS = (b"\x7fELF", b"KDUMP   ", b"makedumpfile\0")
"""How the files begin that lie beside logs in a crash directory and are none."""


class _Row(msgspec.Struct, frozen=True):
    """A line of a JSON-lines corpus."""

    id: str | int
    log: str | None = None
    crash: Crash | None = None


class _Document(msgspec.Struct, frozen=True):
    """What ``report --json`` and ``oops --json`` have in common."""

    crash: Crash | None = None
    crashes: tuple[Crash, ...] = ()


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    id: str
    features: Features
    exact: str | None


def known_from_crashes(
    name: str, crashes: Sequence[Crash], text: str = "", *, only_first: bool = False
) -> list[Known]:
    """The reports of one source.

    :param crashes: as read; where there is none the text speaks for itself
    :param text: the log that they stand in, if any
    :param only_first: of several crashes take the first that is whole: the others often follow
        from it
    """
    if not crashes:
        return [Known(name, features(None, text))] if text.strip() else []
    if only_first:
        crashes = [next((crash for crash in crashes if not crash.corrupted), crashes[0])]
    lines = text.split("\n") if text else []
    found = []
    for crash in crashes:
        part = text
        if crash.text is not None and lines:
            part = "\n".join(lines[crash.text.first_line - 1 : crash.text.last_line])
        found.append(Known(name, features(crash, part), fingerprint(crash).exact))
    return found


def read_source(raw: bytes, name: str, read: Reader, *, only_first: bool = False) -> list[Known]:
    """A log or a JSON document, told apart by its first character.

    :raises UnreadableError: a damaged document, or one without a crash
    """
    if raw.lstrip()[:1] == b"{":
        try:
            document = msgspec.json.decode(raw, type=_Document)
            crashes = document.crashes or ((document.crash,) if document.crash else ())
            if not crashes:
                crashes = (msgspec.json.decode(raw, type=Crash),)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # A journal's JSON lines are a log too.
            text = raw.decode("utf-8", "replace")
            found = read(text) if b"\n" in raw.strip() else ()
            if found:
                return known_from_crashes(name, found, text, only_first=only_first)
            raise UnreadableError(
                f"neither a log nor a document with a crash: {error}",
                thing=name,
                slug="bad-document",
            ) from error
        return known_from_crashes(name, crashes, only_first=only_first)
    text = raw.decode("utf-8", "replace")
    return known_from_crashes(name, read(text), text, only_first=only_first)


def read_corpus(path: Path, read: Reader, *, cache: Path | None = None) -> list[Known]:
    """Every report in ``path``.

    :param path: a directory of logs and JSON documents (the id of one is its file's stem), or a
        file of JSON lines with ``id`` and ``log`` or ``crash``
    :param cache: a directory to keep what was read
    :raises UnreadableError: no such corpus, an empty one, or a line that is not as described
    """
    files = _files(path)
    kept = cache / f"{_signature(path, files)}.msgpack" if cache is not None else None
    known = _recall(kept) if kept is not None else None
    if known is None:
        known = list(_from_directory(files, read) if path.is_dir() else _from_lines(path, read))
        if kept is not None and known:
            # A cache that cannot be written costs time, no more.
            with contextlib.suppress(OSError):
                _keep(kept, known)
    if not known:
        raise UnreadableError("no report in it", thing=str(path), slug="empty-corpus")
    return known


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")
        )
    if not path.is_file():
        raise UnreadableError("no such file or directory", thing=str(path), slug="no-corpus")
    return [path]


def _from_directory(files: list[Path], read: Reader) -> Iterator[Known]:
    for file in files:
        with file.open("rb") as stream:
            raw = stream.read(_MAX_LOG)
        if raw.startswith(_DUMPS):
            continue
        try:
            yield from read_source(raw, file.stem, read)
        except UnreadableError as error:
            raise UnreadableError(error.what, thing=str(file), slug=error.slug) from error


def _from_lines(path: Path, read: Reader) -> Iterator[Known]:
    decoder = msgspec.json.Decoder(_Row)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UnreadableError(
                    f"line {number} is not a report: {error}",
                    thing=str(path),
                    slug="bad-corpus",
                    hint="JSON lines with id and log or crash are wanted, or a directory",
                ) from error
            text = row.log or ""
            crashes = [row.crash] if row.crash is not None else read(text)
            yield from known_from_crashes(str(row.id), crashes, text)


def _signature(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256(f"{_RECIPE} {VERSION} {path.resolve()}\n".encode())
    for file in files:
        about = file.stat()
        digest.update(f"{file}\0{about.st_size}\0{about.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()[:32]


def _recall(kept: Path) -> list[Known] | None:
    try:
        rows = msgspec.msgpack.decode(kept.read_bytes(), type=list[_Kept])
    except (OSError, msgspec.DecodeError):
        return None
    return [Known(row.id, row.features, row.exact) for row in rows]


def _keep(kept: Path, known: Sequence[Known]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    raw = msgspec.msgpack.encode([_Kept(k.id, k.features, k.exact) for k in known])
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as stream:
        stream.write(raw)
    Path(stream.name).replace(kept)
    others = sorted(kept.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_MAX_KEPT:]:
        old.unlink()
