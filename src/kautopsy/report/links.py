"""Addresses at which the source of a backtrace's lines can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from kautopsy.model.errors import UsageError

_FIELD = re.compile(r"\{([^{}]*)\}")
# Where a build left the tree: "/build/linux-6Qe1Ab/linux-6.1.55/kernel/panic.c".
_BUILD_TREE = re.compile(r"^.*/linux-[0-9][^/]*/(?=[a-z])")


@dataclass(frozen=True)
class SourceLinks:
    """Where the kernel's source can be looked at in a browser.

    No address is right for every kernel: the lines of a distribution's kernel are not those of the
    release it grew from. So there is none unless the reader names one.

    :param template: an ``http(s)`` address with ``{file}``, ``{line}`` and perhaps ``{release}`` in
        it; empty for no links
    :param release: ``uname -r`` of the kernel that died
    """

    template: str = ""
    release: str = ""

    def __post_init__(self) -> None:
        if not self.template:
            return
        if not self.template.startswith(("https://", "http://")):
            raise UsageError(
                "is no http or https address", thing=self.template, slug="bad-source-url"
            )
        unknown = set(_FIELD.findall(self.template)) - {"file", "line", "release"}
        if unknown or "{file}" not in self.template:
            raise UsageError(
                "needs {file}, and knows {line} and {release} beside it",
                thing=self.template,
                slug="bad-source-url",
            )

    def url(self, file: str, line: int | None) -> str | None:
        """The address of a line; None for a file that is not of the kernel's tree."""
        path = tree_path(file)
        if not self.template or path is None:
            return None
        values = {
            "file": quote(path),
            "line": "" if line is None else str(line),
            "release": quote(self.release, safe=""),
        }
        return _FIELD.sub(lambda match: values[match[1]], self.template)


def tree_path(file: str) -> str | None:
    """A file's path from the top of the kernel's source; None if it lies elsewhere."""
    path = _BUILD_TREE.sub("", file).removeprefix("./")
    if path.startswith("/") or ".." in path.split("/") or not path.isprintable():
        return None
    return path
