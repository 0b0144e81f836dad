"""Backtraces."""

from __future__ import annotations

from kautopsy.model.crash import Frame
from kautopsy.report import words
from kautopsy.report.escape import clip
from kautopsy.report.links import SourceLinks
from kautopsy.report.page.markup import Node, el
from kautopsy.report.page.parts import copyable

_FRAMES = 500
_NAME = 200


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
