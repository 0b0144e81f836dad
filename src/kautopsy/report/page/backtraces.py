"""Backtraces, and links from their lines to where the source can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from kautopsy.model.crash import Frame
from kautopsy.model.errors import UsageError
from kautopsy.report import words
from kautopsy.report.escape import clip
from kautopsy.report.page.markup import Node, el
from kautopsy.report.page.parts import copyable

_FRAMES = 500
_NAME = 200
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


def place(file: str | None, line: int | None, links: SourceLinks) -> Node | None:
    """``file:line``, a link where there is one, with a button that copies it."""
    if not file:
        return None
    text = clip(words.place(file, line), _NAME)
    url = links.url(file, line) if len(file) <= _NAME else None
    if url is None:
        return copyable(text)
    return copyable(text, el("a", text, href=url, rel="noopener noreferrer"))


def backtrace(frames: tuple[Frame, ...], links: SourceLinks) -> Node:
    """All frames, innermost first."""
    if not frames:
        return el("p", "none could be had", class_="muted")
    lines = [_frame(number, frame, links) for number, frame in words.numbered(frames[:_FRAMES])]
    if len(frames) > _FRAMES:
        lines.append(el("li", f"{len(frames) - _FRAMES} more frames", class_="muted"))
    return el("ol", lines, class_="frames")


def _frame(number: int | None, frame: Frame, links: SourceLinks) -> Node:
    classes = ["inline"] if frame.inline else []
    if not frame.reliable:
        classes.append("unreliable")
    address = "" if frame.address is None or frame.inline else f"{frame.address:016x}"
    return el(
        "li",
        el("span", "" if number is None else f"#{number}", class_="number"),
        el(
            "span",
            None if frame.reliable else el("span", "? ", title="merely found on the stack"),
            el("code", el("b", clip(frame.function or "(unknown)", _NAME)), words.offset(frame)),
            el("span", f" [{clip(frame.module, 80)}]", class_="module") if frame.module else None,
            el("span", " inlined", class_="muted") if frame.inline else None,
            (" ", el("span", place(frame.file, frame.line, links), class_="place"))
            if frame.file
            else None,
        ),
        el("span", address, class_="address"),
        class_=" ".join(classes) or None,
    )
