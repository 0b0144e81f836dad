"""Kernel command lines as words."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Double quotes hold a word together (kernel/params.c, next_arg()).
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def words_of(line: str) -> tuple[str, ...]:
    """The words of a command line."""
    return tuple(_WORD.findall(line))


def values_of(arguments: Iterable[str], name: str) -> list[str]:
    """The values of all ``name=value``; dashes and underscores are the same, as for the kernel."""
    name = name.replace("-", "_")
    found = []
    for word in arguments:
        key, equals, value = word.strip('"').partition("=")
        if equals and key.replace("-", "_") == name:
            found.append(value.strip('"'))
    return found


def has_word(arguments: Iterable[str], name: str) -> bool:
    """Whether ``name`` stands there, with or without a value."""
    return any(word.partition("=")[0].replace("-", "_") == name for word in arguments)
