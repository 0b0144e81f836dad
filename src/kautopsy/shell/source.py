"""Where in the source an instruction comes from, with DWARF."""

from __future__ import annotations

import re

from drgn import Program

from kautopsy.kernel.reading import READ_ERRORS


def source_line(program: Program, address: int) -> str:
    """``/path/file.c: 123`` of the function around ``address``, '' where it is not known.

    Of inlined code the line in the function that really exists, as crash shows it.
    """
    try:
        location = program.source_location(address)
    except READ_ERRORS:
        return ""
    for one in reversed(list(location)):
        if one.filename and one.line:
            return f"{one.filename}: {one.line}"
    return ""


def inner_line(program: Program, address: int) -> str:
    """As :func:`source_line`, of the innermost inlined code."""
    try:
        location = program.source_location(address)
    except READ_ERRORS:
        return ""
    for one in location:
        if one.filename and one.line:
            return f"{one.filename}: {one.line}"
    return ""


def short(path: str) -> str:
    """A path without the directory the kernel was built in."""
    return re.sub(r"^.*?/(?=(?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel"
                  r"|lib|mm|net|rust|security|sound|virt)/)", "", path)  # fmt: skip
