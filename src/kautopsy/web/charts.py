"""Charts: SVG of few lines, readable without colour, with the numbers in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from kautopsy.fleet.nouns import Day
from kautopsy.report.page.markup import Node, el, render

_DAY = 86400.0
_WIDTH = 1280
_HEIGHT = 130
_FOOT = 18


def _markup(node: Node) -> Markup:
    # Node is markup that was escaped as it was made.
    return Markup(render(node))


def timeline(days: Sequence[Day], *, count: int = 90, now: float | None = None) -> Markup:
    """Crashes by day over the last ``count`` days: a bar a day, deaths darker at its foot."""
    last = int((time.time() if now is None else now) // _DAY)
    by_day = {int(one.day // _DAY): one for one in days}
    shown = [by_day.get(number) for number in range(last - count + 1, last + 1)]
    most = max([one.crashes for one in shown if one] or [0])
    total = sum(one.crashes for one in shown if one)
    deaths = sum(one.deaths for one in shown if one)
    words = f"{total} crashes in the last {count} days, {deaths} of them deaths"
    step = _WIDTH / count
    space = _HEIGHT - _FOOT
    parts: list[Node] = []
    for index, one in enumerate(shown):
        if one is None:
            continue
        x, width = index * step + step * 0.1, step * 0.8
        high = max(2.0, space * one.crashes / most)
        date = _date(last - count + 1 + index)
        parts.append(
            el(
                "g",
                el("title", f"{date}: {one.crashes} crashes, {one.deaths} deaths"),
                el("rect", x=x, y=space - high, width=width, height=high, class_="crashes"),
                el(
                    "rect", x=x, y=space - high * one.deaths / one.crashes, width=width,
                    height=high * one.deaths / one.crashes, class_="deaths",
                )
                if one.deaths
                else None,
            )
        )  # fmt: skip
    ticks = [
        el(
            "text", _date(last - count + 1 + index), x=index * step, y=_HEIGHT - 4,
            text_anchor="start" if index < count * 0.9 else "end",
        )
        for index in range(0, count, 30)
    ]  # fmt: skip
    return _markup(
        el(
            "figure",
            el(
                "svg",
                el("title", words),
                el("line", x1=0, y1=space, x2=_WIDTH, y2=space, class_="axis"),
                parts,
                ticks,
                viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
                role="img",
                class_="days",
            ),
            el("figcaption", words, f"; at most {most} a day" if most else None),
        )
    )


def _date(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY, UTC).strftime("%Y-%m-%d")


def shares(parts: Sequence[tuple[str, int]]) -> Markup:
    """One bar of parts: (name, count); the names are classes of the style sheet."""
    total = sum(count for _, count in parts) or 1
    left = 0.0
    rects = []
    for name, count in parts:
        width = _WIDTH * count / total
        rects.append(
            el(
                "rect",
                el("title", f"{name}: {count}"),
                x=left, y=0, width=width, height=24, class_=name.replace(" ", "-"),
            )
        )  # fmt: skip
        left += width
    words = ", ".join(f"{count} {name}" for name, count in parts)
    return _markup(
        el(
            "svg",
            el("title", words),
            rects,
            viewBox=f"0 0 {_WIDTH} 24",
            preserveAspectRatio="none",
            role="img",
            class_="shares",
        )
    )
