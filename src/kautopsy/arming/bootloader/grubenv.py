"""GRUB 2's environment block: ``name=value`` lines in 1024 bytes, filled up with ``#``."""

from __future__ import annotations

import re

from kautopsy.model.errors import RefusedError

_ESCAPED = re.compile(r"\\(.)")
_ESCAPE = re.compile(r"[\\\n]")
_BACKSLASH = r"\\\g<0>"
_SIZE = 1024
_HEAD = "# GRUB Environment Block\n"


def variables(text: str) -> dict[str, str]:
    """The variables of an environment block; a backslash guards the character after it."""
    found = {}
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if equals:
            found[name] = _ESCAPED.sub(r"\1", value)
    return found


def with_variable(text: str, name: str, value: str) -> str:
    """The block with ``name`` set, as long as it was: GRUB writes only into the blocks that are
    there (grub-core/commands/loadenv.c). Other lines keep their bytes.

    :raises RefusedError: it does not fit
    """
    if variables(text).get(name) == value:
        return text
    head, lines, size = _taken_apart(text)
    line = f"{name}={_ESCAPE.sub(_BACKSLASH, value)}"
    at = next((i for i, old in enumerate(lines) if old.partition("=")[0] == name), len(lines))
    lines[at : at + 1] = [line]
    body = head + "".join(f"{line}\n" for line in lines)
    length = len(body.encode(errors="surrogateescape"))
    if length > size:
        raise RefusedError(
            f"{name} would not fit into the environment block ({size} bytes)", thing="grubenv"
        )
    return body + "#" * (size - length)


def _taken_apart(text: str) -> tuple[str, list[str], int]:
    """The comment lines it begins with, the others, and its size in bytes (1024, as made)."""
    size = max(len(text.encode(errors="surrogateescape")), _SIZE)
    body = text.rstrip("#")
    lines = body.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    head = ""
    while lines and lines[0].startswith("#"):
        head += f"{lines.pop(0)}\n"
    return head or _HEAD, lines, size
