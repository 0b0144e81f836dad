"""A line that was typed: the command, its words, where its output goes.

As in crash: ``>`` and ``>>`` write a file, ``|`` hands the output to a shell pipeline, a leading
``<`` reads commands from a file, ``!`` runs a shell command. None of these count inside quotes or
parentheses (``p (1 << 4)``), nor does the ``>`` of ``->``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kautopsy.shell.errors import CommandError


@dataclass(frozen=True)
class Line:
    """A parsed line.

    :param name: the command
    :param text: what follows it, as typed
    :param file: the output goes there, to its end where ``append``
    :param pipeline: the output goes through it, or ''
    """

    name: str
    text: str
    file: str = ""
    append: bool = False
    pipeline: str = ""


# ``*task_struct`` is the command ``*``; a name may stand alone (``list_head.next ffff...``).
_NAME = re.compile(r"\s*(\*|!|<|[^\s|><]+)")


def parse(text: str) -> Line | None:
    """The parts of ``text``; None where it holds nothing (empty, or a comment).

    :raises CommandError: a redirection without a file, quotes without an end
    """
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    at = _outside(text)
    body, rest = text[:at], text[at:]
    found = _NAME.match(body)
    if found is None:
        raise CommandError("there is no command before it", thing=rest.strip())
    name, words = found[1], body[found.end() :].strip()
    if not rest:
        return Line(name, words)
    if rest.startswith("|"):
        pipeline = rest[1:].strip()
        if not pipeline:
            raise CommandError("nothing follows the pipe")
        return Line(name, words, pipeline=pipeline)
    append = rest.startswith(">>")
    target = rest[2 if append else 1 :].strip()
    try:
        [file] = split(target)
    except ValueError:
        raise CommandError("one file must follow the redirection", thing=target) from None
    return Line(name, words, file=file, append=append)


def _outside(text: str) -> int:
    """Where the command ends and a redirection or pipe begins."""
    quote = ""
    depth = 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth = max(0, depth - 1)
        elif depth == 0 and (character == "|" or (character == ">" and text[at - 1 : at] != "-")):
            return at
    return len(text)


def split(text: str) -> list[str]:
    """The words of ``text``, without the quotes around them.

    Unlike a shell's: only quotes matter, a backslash is a character (``ps \\comm``).

    :raises CommandError: a quote is not closed
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    for character in text:
        if quote:
            if character == quote:
                quote = ""
            else:
                assert word is not None
                word.append(character)
        elif character in "'\"":
            quote = character
            word = word if word is not None else []
        elif character.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word if word is not None else []
            word.append(character)
    if quote:
        raise CommandError(f"the quote {quote} is not closed")
    if word is not None:
        words.append("".join(word))
    return words
