"""The log: its last minutes as a picture, the lines that matter, and all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kautopsy.report import units
from kautopsy.report.escape import clip
from kautopsy.report.page.markup import Node, el
from kautopsy.report.page.parts import fold
from kautopsy.report.timeline import Moment, Timeline, Weight

_HEIGHT = 92
_BASE = 66
_WIDTHS = {"wide": 1280, "narrow": 340}
_BIN = 8
_SHORTEST = 0.001
"""A log within a millisecond has no course of time to draw."""
_NOTABLE = 24
_LINE = 1000
_CLASSES = {Weight.PLAIN: "plain", Weight.TROUBLE: "trouble", Weight.FATAL: "fatal"}


def pictures(story: Timeline) -> Iterator[Node]:
    """How much was logged when, trouble in colour, the crash marked; none without times.

    One for wide and one for narrow windows: the style shows the one that fits.
    """
    moments = story.window()
    end = story.crash_time
    if end is None or len(moments) < 2:
        return
    last = max(m.time for m in moments if m.time is not None)
    first = min(m.time for m in moments if m.time is not None)
    length = last - first
    if length < _SHORTEST:
        return
    for name, width in _WIDTHS.items():
        at = (end - first) / length * (width - _BIN) + _BIN / 2
        late = at > width / 2
        yield el(
            "svg",
            el("line", x1=0, y1=_BASE + 0.5, x2=width, y2=_BASE + 0.5, class_="axis"),
            _bars(moments, first, length, width // _BIN),
            _axis(first, end, length, width),
            el("line", x1=at, y1=14, x2=at, y2=_BASE + 6, class_="crash"),
            el(
                "text",
                "crash" if story.crash is not None else "last line",
                x=at - 6 if late else at + 6,
                y=12,
                text_anchor="end" if late else "start",
                class_="crash",
            ),
            viewBox=f"0 0 {width} {_HEIGHT}",
            class_=f"timeline {name}",
            role="img",
            aria_label=f"Lines of the log over the last {units.span(length)}; the crash is "
            f"{units.span(max(end - first, 0))} after the first of them",
        )


def _bars(moments: tuple[Moment, ...], first: float, length: float, count: int) -> Iterator[Node]:
    bins: list[dict[Weight, int]] = [dict.fromkeys(Weight, 0) for _ in range(count)]
    for moment in moments:
        assert moment.time is not None
        place = min(int((moment.time - first) / length * count), count - 1)
        bins[place][moment.weight] += 1
    highest = math.sqrt(max(sum(one.values()) for one in bins))
    for number, one in enumerate(bins):
        top = float(_BASE)
        total = sum(one.values())
        for weight in reversed(Weight):
            if not one[weight]:
                continue
            # Heights grow with the root, so that a burst does not flatten what led to it.
            height = (_BASE - 22) * math.sqrt(total) / highest * one[weight] / total
            height = max(height, 3)
            top -= height
            yield el(
                "rect",
                x=number * _BIN,
                y=top,
                width=_BIN - 1.5,
                height=height,
                rx=1,
                class_=_CLASSES[weight],
            )


def _axis(first: float, end: float, length: float, width: int) -> Iterator[Node]:
    steps = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120)
    step = next((step for step in steps if length / step <= width / 100), 300)
    count = int((end - first) / step)
    for number in range(count, -1, -1):
        x = (end - number * step - first) / length * width
        yield el("line", x1=x, y1=_BASE, x2=x, y2=_BASE + 5, class_="axis")
        yield el(
            "text",
            "0" if number == 0 else f"−{units.span(number * step)}",
            x=min(max(x, 24), width - 12),
            y=_HEIGHT - 8,
            text_anchor="middle",
        )


def notable(story: Timeline) -> Node | None:
    """The lines that matter, with their time before the crash."""
    moments = story.notable(_NOTABLE)
    if not moments:
        return None
    return el(
        "ol",
        [
            el(
                "li",
                el("span", _when(moment, story), class_="when"),
                el("code", clip(moment.text, _LINE)),
                class_=_CLASSES[moment.weight] + (" crash" if moment.index == story.crash else ""),
            )
            for moment in moments
        ],
        class_="moments",
    )


def _when(moment: Moment, story: Timeline) -> str:
    """How long before or after the crash."""
    if moment.index == story.crash:
        return "crash"
    end = story.crash_time
    if moment.time is None or end is None:
        return ""
    before = end - moment.time
    if abs(before) < 0.001:
        return "just after" if moment.index > (story.crash or 0) else "just before"
    return f"−{units.span(before)}" if before > 0 else f"+{units.span(-before)}"


def whole(story: Timeline) -> Node:
    """All lines that the report carries."""
    lines: list[Node] = []
    for moment in story.moments:
        classes = _CLASSES[moment.weight] + (" crash" if moment.index == story.crash else "")
        time = "" if moment.time is None else f"[{moment.time:12.6f}] "
        lines.append(
            el(
                "span",
                el("i", time),
                clip(moment.text, _LINE),
                "\n",
                class_=None if classes == "plain" else classes,
            )
        )
    return fold(
        f"The log's last {len(story.moments)} lines",
        el("pre", lines, class_="log", tabindex=0),
        open_=len(story.moments) <= 60,
    )
