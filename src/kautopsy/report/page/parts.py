"""Parts that several sections of the page are built of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kautopsy.report.page.markup import Content, Node, el


@dataclass(frozen=True, slots=True)
class Number:
    """A table's cell whose text would sort wrongly: what it shows and what it sorts by."""

    shown: Content
    key: float


def section(name: str, title: str, *content: Content) -> Node:
    """A titled part of the page that the navigation can lead to."""
    return el(
        "section",
        el("h2", title, id=f"{name}-title"),
        content,
        id=name,
        aria_labelledby=f"{name}-title",
        class_="card",
    )


def fold(summary: Content, *content: Content, open_: bool = False, class_: str = "") -> Node:
    """Something that opens on demand."""
    return el("details", el("summary", summary), content, open=open_, class_=class_ or None)


def badge(text: str, tone: str = "") -> Node:
    """A word in a coloured box."""
    return el("span", text, class_=f"badge {tone}".strip())


def copyable(text: str, *shown: Content) -> Node:
    """Code with a button beside it that copies it (the page's script makes the button)."""
    return el("code", shown or text, class_="copy")


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Content | Number]], *, caption: str
) -> Node:
    """A table whose columns sort by a click on their heads."""
    numeric = [isinstance(cell, Number) for cell in rows[0]] if rows else [False] * len(heads)
    return el(
        "div",
        el(
            "table",
            el("caption", caption),
            el(
                "thead",
                el(
                    "tr",
                    [
                        el("th", head, scope="col", class_="number" if number else None)
                        for head, number in zip(heads, numeric, strict=True)
                    ],
                ),
            ),
            el("tbody", [el("tr", [_cell(cell) for cell in row]) for row in rows]),
            class_="sortable",
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _cell(cell: Content | Number) -> Node:
    if isinstance(cell, Number):
        return el("td", cell.shown, data_key=cell.key, class_="number")
    return el("td", cell)
