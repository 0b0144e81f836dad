"""What a file is, told by its first bytes: names of captures and logs say little."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path

from kautopsy.model.errors import UnreadableError
from kautopsy.triage.target import is_dump, is_text

_HEAD = 64 << 10
_ARCHIVES = (
    (b"\x1f\x8b", 0),  # gzip
    (b"\xfd7zXZ\0", 0),
    (b"\x28\xb5\x2f\xfd", 0),  # zstd
    (b"BZh", 0),
    (b"\x04\x22\x4d\x18", 0),  # lz4
    (b"PK\x03\x04", 0),  # zip
    (b"7z\xbc\xaf\x27\x1c", 0),
    (b"ustar", 257),  # tar
)
_SCHEMA = re.compile(rb'"schema"\s*:\s*"kautopsy\.([a-z-]+)/\d+"')


class Shape(StrEnum):
    """What a file looks like."""

    DUMP = "dump"
    LOG = "log"
    REPORT = "report"
    OOPS = "oops"
    DOCTOR = "doctor"
    DRILL = "drill"
    ROWS = "rows"
    """JSON lines with ``id`` and ``log`` or ``crash``, as ``similar --corpus`` reads them."""
    ARCHIVE = "archive"
    OTHER = "other"


_DOCUMENTS = {one.value: one for one in (Shape.REPORT, Shape.OOPS, Shape.DOCTOR, Shape.DRILL)}


def sniff(path: Path) -> Shape:
    """The shape of a regular file.

    :raises UnreadableError: it cannot be read
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise UnreadableError(
            error.strerror or str(error), thing=str(path), slug="unreadable"
        ) from error
    if is_dump(path):
        return Shape.DUMP
    if any(head[at : at + len(magic)] == magic for magic, at in _ARCHIVES):
        return Shape.ARCHIVE
    if head.lstrip()[:1] == b"{":
        return _json(head, path)
    return Shape.LOG if head and is_text(path) else Shape.OTHER


def _json(head: bytes, path: Path) -> Shape:
    line = head.lstrip().split(b"\n", 1)[0]
    match = _SCHEMA.search(head[:4096]) or _SCHEMA.search(head)
    if match is not None:
        return _DOCUMENTS.get(match[1].decode(), Shape.OTHER)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        # Its first line may be longer than what was read.
        keys = rb'"id"\s*:', rb'"(?:log|crash)"\s*:'
        if all(re.search(key, head) for key in keys):
            return Shape.ROWS
        return Shape.LOG if is_text(path) else Shape.OTHER
    if isinstance(row, dict) and "id" in row and ("log" in row or "crash" in row):
        return Shape.ROWS
    # A journal's export is JSON lines too.
    return Shape.LOG
