"""What was read of a corpus, kept by content.

Reading a log takes milliseconds, a corpus of thousands ten seconds; comparing takes a fraction of
one. The store is keyed by a hash of a source's bytes, so that a corpus that grows by one report, or
is asked from another path, is read for that one alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kautopsy.fingerprint.exact import VERSION
from kautopsy.fingerprint.features import Features
from kautopsy.fingerprint.ranking import Known

_MOST = 50_000
"""Sources kept; beyond that the first stored goes first (some 150 MB in all)."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    id: str
    features: Features
    exact: str | None


class CorpusCache:
    """A SQLite file of sources already read. One that cannot be used costs time, never an error.

    :param path: of the file, made where it is missing; None keeps nothing
    :param recipe: changes with whatever reads the logs; what another recipe stored is not found
    """

    def __init__(self, path: Path | None, *, recipe: str = "") -> None:
        self._salt = f"{VERSION} {recipe} ".encode()
        self._decoder = msgspec.msgpack.Decoder(list[_Kept])
        self._file: sqlite3.Connection | None = None
        if path is None:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=5)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS source (key BLOB PRIMARY KEY, kept BLOB)"
            )

    def __enter__(self) -> CorpusCache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        with contextlib.suppress(sqlite3.Error):
            self._file.execute(
                "DELETE FROM source WHERE rowid <= (SELECT max(rowid) FROM source) - ?", (_MOST,)
            )
            self._file.commit()
        self._file.close()

    def key(self, name: str, raw: bytes) -> bytes:
        """Of a source: its name is part of what is kept."""
        digest = hashlib.blake2b(self._salt + name.encode(errors="replace") + b"\0", digest_size=16)
        digest.update(raw)
        return digest.digest()

    def recall(self, key: bytes) -> list[Known] | None:
        """What was read of it, if it was."""
        if self._file is None:
            return None
        try:
            row = self._file.execute("SELECT kept FROM source WHERE key = ?", (key,)).fetchone()
            kept = self._decoder.decode(row[0]) if row else None
        except (sqlite3.Error, msgspec.DecodeError, TypeError):
            return None
        return None if kept is None else [Known(k.id, k.features, k.exact) for k in kept]

    def keep(self, key: bytes, known: Sequence[Known]) -> None:
        """Store what was read of it."""
        if self._file is None:
            return
        raw = msgspec.msgpack.encode([_Kept(k.id, k.features, k.exact) for k in known])
        with contextlib.suppress(sqlite3.Error):
            self._file.execute("INSERT OR REPLACE INTO source VALUES (?, ?)", (key, raw))
