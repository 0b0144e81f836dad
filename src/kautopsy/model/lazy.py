"""Regular expressions that are compiled when they are first used.

The text engine knows hundreds of forms that a line can have, and one log has a few of them:
compiling all took a fifth of the time in which a small dump is reported.
"""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = (
    "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer",
    "groups", "groupindex", "flags",
)  # fmt: skip


def lazy_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """What ``re.compile(pattern, flags)`` gives, as far as methods and attributes go."""
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))


class _LazyPattern:
    """Gets a pattern's methods as its own attributes at first use, so that calls cost no more."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern = pattern
        self._given = flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._given)
        self.__dict__.update({method: getattr(compiled, method) for method in _METHODS})
        return self.__dict__[name]

    def __repr__(self) -> str:
        return f"lazy_pattern({self.pattern!r}, {self._given!r})"
