"""Passwords: argon2, and how often somebody may guess."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kautopsy.model.errors import UsageError

SHORTEST = 12
_LONGEST = 1024
_HASHER = PasswordHasher()
# So that an unknown name takes as long as a wrong password.
_NOBODY = _HASHER.hash("nobody has this password")


def hash_password(password: str) -> str:
    """The argon2id hash to keep.

    :raises UsageError: shorter than 12 characters, or absurdly long
    """
    if len(password) < SHORTEST:
        raise UsageError(
            f"is shorter than {SHORTEST} characters", thing="password", slug="weak-password"
        )
    if len(password) > _LONGEST:
        raise UsageError("is too long", thing="password", slug="weak-password")
    return _HASHER.hash(password)


def matches(kept: str, password: str) -> bool:
    """Whether ``password`` is that of the hash ``kept``; an empty hash has none."""
    try:
        _HASHER.verify(kept or _NOBODY, password[:_LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    return bool(kept)


class Attempts:
    """Failed guesses: after so many within a quarter of an hour, one has to wait.

    Counted by name and by address, each; kept in memory, for at most ``MOST`` of them.
    """

    WINDOW = 900.0
    PER_NAME = 10
    PER_ADDRESS = 50
    MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def blocked(self, name: str, address: str) -> bool:
        """Whether to refuse without looking."""
        with self._lock:
            return (
                len(self._recent(f"n {name}")) >= self.PER_NAME
                or len(self._recent(f"a {address}")) >= self.PER_ADDRESS
            )

    def failed(self, name: str, address: str) -> None:
        """A guess was wrong."""
        with self._lock:
            for key in (f"n {name}", f"a {address}"):
                self._failures[key] = [*self._recent(key), time.monotonic()]
                self._failures.move_to_end(key)
            while len(self._failures) > self.MOST:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """A guess was right: the name's failures are forgotten."""
        with self._lock:
            self._failures.pop(f"n {name}", None)

    def _recent(self, key: str) -> list[float]:
        start = time.monotonic() - self.WINDOW
        return [at for at in self._failures.get(key, ()) if at > start]
