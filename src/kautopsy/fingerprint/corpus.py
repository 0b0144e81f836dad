"""Known crashes: a directory of logs and reports, or JSON lines, made ready for ranking.

Reading a log is another room's work: whoever asks hands in the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from kautopsy.fingerprint.corpus_cache import CorpusCache
from kautopsy.fingerprint.exact import VERSION, fingerprint
from kautopsy.fingerprint.features import features
from kautopsy.fingerprint.ranking import Known
from kautopsy.model.crash import Crash
from kautopsy.model.errors import UnreadableError

Reader = Callable[[str], Sequence[Crash]]
"""Console text → the crashes in it, with the lines where they stand."""

MAX_LOG = 256 << 20
"""Bytes of a log that are read; ``kautopsy oops`` reads any length."""
_DUMPS = (b"\x7fELF", b"KDUMP   ", b"makedumpfile\0")
"""How the files begin that lie beside logs in a crash directory and are none."""


class _Row(msgspec.Struct, frozen=True):
    """A line of a JSON-lines corpus."""

    id: str | int
    log: str | None = None
    crash: Crash | None = None


class _Document(msgspec.Struct, frozen=True):
    """What ``report --json`` and ``oops --json`` have in common."""

    schema: str = ""
    crash: Crash | None = None
    crashes: tuple[Crash, ...] = ()


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
        found.append(Known(name, features(crash, part), _exact(crash)))
    return found


def _exact(crash: Crash) -> str:
    """The key that the crash came with, where it is of our version.

    A dump's may have been made from more than its frames: from its log, which shows the task that
    hung, where the frames are of the watchdog that found it.
    """
    given = crash.fingerprint
    return given.exact if given and given.version == VERSION else fingerprint(crash).exact


def read_source(raw: bytes, name: str, read: Reader, *, only_first: bool = False) -> list[Known]:
    """A log or a JSON document, told apart by its first character.

    :raises UnreadableError: a dump, a damaged document, or one without a crash
    """
    if raw.startswith(_DUMPS):
        raise UnreadableError(
            "a dump, not a log or a document",
            thing=name,
            slug="a-dump",
            hint="kautopsy report --json DUMP makes a document of it",
        )
    if raw.lstrip()[:1] == b"{":
        try:
            document = msgspec.json.decode(raw, type=_Document)
            crashes = document.crashes or ((document.crash,) if document.crash else ())
            if not crashes and not document.schema.startswith("kautopsy."):
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


def read_corpus(path: Path, read: Reader, *, cache: CorpusCache | None = None) -> list[Known]:
    """Every report in ``path``.

    :param path: a directory of logs and JSON documents (the id of one is its file's stem), or a
        file of JSON lines with ``id`` and ``log`` or ``crash``
    :param cache: remembers what was read; the caller closes it
    :raises UnreadableError: no such corpus, an empty one, or a line that is not as described
    """
    cache = cache or CorpusCache(None)
    sources = _from_directory(path, read) if path.is_dir() else _from_lines(path, read)
    known: list[Known] = []
    for name, raw, reading in sources:
        key = cache.key(name, raw)
        found = cache.recall(key)
        if found is None:
            found = reading()
            cache.keep(key, found)
        known.extend(found)
    if not known:
        raise UnreadableError("no report in it", thing=str(path), slug="empty-corpus")
    return known


_Source = tuple[str, bytes, Callable[[], list[Known]]]
"""A source's name (its line's are in the line), its bytes, and how to read them."""


def _from_directory(folder: Path, read: Reader) -> Iterator[_Source]:
    for file in sorted(folder.rglob("*")):
        if file.name.startswith(".") or not file.is_file():
            continue
        with file.open("rb") as stream:
            raw = stream.read(MAX_LOG)
        if not raw.startswith(_DUMPS):
            yield file.stem, raw, partial(_read_file, file, raw, read)


def _read_file(file: Path, raw: bytes, read: Reader) -> list[Known]:
    try:
        return read_source(raw, file.stem, read)
    except UnreadableError as error:
        raise UnreadableError(error.what, thing=str(file), slug=error.slug) from error


def _from_lines(path: Path, read: Reader) -> Iterator[_Source]:
    if not path.is_file():
        raise UnreadableError("no such file or directory", thing=str(path), slug="no-corpus")
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield "", line, partial(_read_line, path, number, line, read)


def _read_line(path: Path, number: int, line: bytes, read: Reader) -> list[Known]:
    try:
        row = msgspec.json.decode(line, type=_Row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(
            f"line {number} is not a report: {error}",
            thing=str(path),
            slug="bad-corpus",
            hint="JSON lines with id and log or crash are wanted, or a directory",
        ) from error
    text = row.log or ""
    crashes = [row.crash] if row.crash is not None else read(text)
    return known_from_crashes(str(row.id), crashes, text)
