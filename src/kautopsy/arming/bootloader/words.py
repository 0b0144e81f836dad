"""Kernel command lines as words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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


def with_values(line: str, name: str, values: Sequence[str]) -> str:
    """``line`` with ``name=value`` for each of ``values`` and no other word of that name.

    They stand where the first one stood, else at the end, but before a ``--``, after which the
    words are init's, and before a quote that nobody closes. Everything else keeps its place and its
    white space; a line that has what is wanted comes back as it was. White space may be line feeds.
    """
    if values_of(words_of(line), name) == list(values):
        return line
    wanted = " ".join(f"{name}={value}" for value in values)
    spans = [m.span() for m in _WORD.finditer(line) if has_word((m[0].strip('"'),), name)]
    for start, end in reversed(spans[1:] if values else spans):
        while start > 0 and line[start - 1] in " \t":
            start -= 1
        line = line[:start] + line[end:]
        # Taken from the beginning, its following blank goes instead.
        if start == 0:
            line = line.lstrip(" \t")
    if not values:
        return line
    if spans:
        start, end = spans[0]
        return line[:start] + wanted + line[end:]
    stop = next((m.start() for m in _WORD.finditer(line) if _ends(m[0])), None)
    if stop is not None:
        return f"{line[:stop]}{wanted} {line[stop:]}"
    body = line.rstrip()
    return f"{body}{' ' if body.strip() else ''}{wanted}{line[len(body) :]}"


def behind(image: str, arguments: str) -> str:
    """A line of a kernel's path, with the white space after it if there is any, and arguments."""
    return image + (" " if arguments and not image[-1].isspace() else "") + arguments


def _ends(word: str) -> bool:
    """Nothing counts behind ``--``, nor behind a quote that is not closed."""
    return word == "--" or word.count('"') % 2 == 1


def has_word(arguments: Iterable[str], name: str) -> bool:
    """Whether ``name`` stands there, with or without a value."""
    return any(word.partition("=")[0].replace("-", "_") == name for word in arguments)
