"""Who waits for whom: tasks and locks as a graph, each connected part a picture of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kautopsy.model.crash import TaskRef
from kautopsy.model.machine import WaitEdge
from kautopsy.report import units, words
from kautopsy.report.escape import clip, one_line
from kautopsy.report.page.layers import Layout, components, lay_out
from kautopsy.report.page.markup import Node, el

_WIDTH = 228.0
_HEIGHT = 46.0
_GAP_X = 28.0
_GAP_Y = 44.0
_MARGIN = 12.0
_CHARACTERS = 27
_SMALL_CHARACTERS = 33
_CROWDS = 2
"""Of the waiters that nobody waits for, so many names are drawn for each lock."""
_PICTURES = 8


@dataclass(frozen=True)
class _Box:
    shape: str
    title: str
    subtitle: str
    in_cycle: bool = False


def pictures(edges: tuple[WaitEdge, ...]) -> Iterator[Node]:
    """An SVG for each connected part of the graph, those with a cycle first."""
    boxes, arrows, tight = _graph(edges)
    parts = components(tuple(boxes), tuple(arrows))
    parts.sort(key=lambda part: (not any(boxes[node].in_cycle for node in part), -len(part)))
    for part in parts[:_PICTURES]:
        inside = set(part)
        yield _picture(
            {node: boxes[node] for node in part},
            [arrow for arrow in arrows if arrow[0] in inside],
            tight,
        )
    if len(parts) > _PICTURES:
        yield el(
            "p",
            f"{len(parts) - _PICTURES} more groups of waiting tasks are in the table.",
            class_="muted",
        )


def _graph(
    edges: tuple[WaitEdge, ...],
) -> tuple[dict[str, _Box], list[tuple[str, str]], set[tuple[str, str]]]:
    """Boxes by id, arrows between them, and the arrows of cycles.

    Ids are made of numbers, so that nothing the kernel wrote can make two things one.
    """
    waited_for = {_task_id(edge.owner) for edge in edges if edge.owner is not None}
    by_lock: dict[str, list[WaitEdge]] = defaultdict(list)
    for number, edge in enumerate(edges):
        by_lock[_lock_id(edge, number)].append(edge)
    boxes: dict[str, _Box] = {}
    arrows: list[tuple[str, str]] = []
    tight: set[tuple[str, str]] = set()

    def task_box(task: TaskRef, edge: WaitEdge | None, in_cycle: bool) -> str:
        name = _task_id(task)
        known = boxes.get(name)
        subtitle = f"pid {'?' if task.pid is None else task.pid}"
        if edge is not None and edge.seconds is not None:
            subtitle += f" · waits {units.span(edge.seconds)}"
        elif known is not None:
            subtitle = known.subtitle
        in_cycle = in_cycle or (known is not None and known.in_cycle)
        boxes[name] = _Box("task", task.comm, subtitle, in_cycle)
        return name

    for lock, waits in by_lock.items():
        first = waits[0]
        owner = next((wait.owner for wait in waits if wait.owner is not None), None)
        cycle = any(wait.cycle for wait in waits)
        name = first.name or (f"{first.address:#x}" if first.address is not None else "")
        kind = words.lock_kind(first.lock, short=True)
        address = f"{first.address:#x}" if first.address is not None else ""
        address = "" if address == name else address
        title = f"{kind} {name}".strip()
        subtitle = address if owner is not None else "owner unknown"
        if len(title) > _CHARACTERS and owner is not None:
            title, subtitle = kind, name
        boxes[lock] = _Box("lock", title, subtitle, cycle)
        # Those in a cycle or waited for have a box of their own, the others one for each name.
        crowds: dict[str, list[WaitEdge]] = defaultdict(list)
        for wait in waits:
            if not wait.cycle and _task_id(wait.waiter) not in waited_for:
                crowds[wait.waiter.comm].append(wait)
                continue
            arrow = (task_box(wait.waiter, wait, wait.cycle), lock)
            arrows.append(arrow)
            if wait.cycle:
                tight.add(arrow)
        ranked = sorted(crowds.values(), key=len, reverse=True)
        drawn = ranked if len(ranked) <= _CROWDS + 1 else ranked[:_CROWDS]
        for number, crowd in enumerate(drawn):
            if len(crowd) == 1:
                arrows.append((task_box(crowd[0].waiter, crowd[0], False), lock))
                continue
            boxes[f"crowd{number}:{lock}"] = _crowd(crowd)
            arrows.append((f"crowd{number}:{lock}", lock))
        if rest := sum(len(crowd) for crowd in ranked[len(drawn) :]):
            boxes[f"more:{lock}"] = _Box("crowd", f"{rest} more tasks", "wait for it too")
            arrows.append((f"more:{lock}", lock))
        if owner is not None:
            arrow = (lock, task_box(owner, None, cycle))
            arrows.append(arrow)
            if cycle:
                tight.add(arrow)
    return boxes, arrows, tight


def _crowd(waits: list[WaitEdge]) -> _Box:
    longest = max((wait.seconds for wait in waits if wait.seconds is not None), default=None)
    since = "wait" if longest is None else f"wait up to {units.span(longest)}"
    return _Box("crowd", f"{len(waits)} × {waits[0].waiter.comm}", since)


def _task_id(task: TaskRef) -> str:
    # Without a pid a task is known by its name only.
    return f"task:{task.pid}" if task.pid is not None else f"task?:{one_line(task.comm)}"


def _lock_id(edge: WaitEdge, number: int) -> str:
    if edge.address is not None:
        return f"lock:{edge.address:x}"
    if edge.name:
        return f"lock?:{edge.lock.value}:{one_line(edge.name)}"
    return f"lock#{number}"


def _picture(
    boxes: dict[str, _Box], arrows: list[tuple[str, str]], tight: set[tuple[str, str]]
) -> Node:
    layout = lay_out(tuple(boxes), arrows, node_width=_WIDTH, gap=_GAP_X)
    row = {node: i for i, nodes in enumerate(layout.layers) for node in nodes}
    detour = 26.0 * len(layout.closing)
    width = layout.width + 2 * _MARGIN + detour
    height = len(layout.layers) * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN

    def centre(node: str) -> float:
        return layout.x[node] + _MARGIN

    lines: list[Node] = []
    closing = 0
    for arrow in dict.fromkeys(arrows):
        start, end = arrow
        classes = "arrow" + (" cycle" if arrow in tight else "")
        held = boxes[start].shape == "lock"
        if held:
            classes += " held"
        if arrow in layout.closing:
            closing += 1
            passed = layout.layers[row[end] : row[start] + 1]
            side = max(centre(node) for nodes in passed for node in nodes) + _WIDTH / 2
            path = _around(
                centre(start) + _WIDTH / 2,
                _top(row[start]) + _HEIGHT / 2,
                centre(end) + _WIDTH / 2,
                _top(row[end]) + _HEIGHT / 2,
                side + 26.0 * closing,
            )
        else:
            path = _downward(layout, arrow, row)
        lines.append(
            el(
                "path",
                d=path,
                class_=classes,
                marker_end="url(#tip-cycle)" if arrow in tight else "url(#tip)",
            )
        )
    drawn = [_box(box, centre(node), _top(row[node])) for node, box in boxes.items()]
    return el(
        "svg",
        lines,
        drawn,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=int(width),
        height=int(height),
        class_="waits",
        role="img",
        aria_label=_said(boxes, arrows),
    )


def _top(index: int) -> float:
    return _MARGIN + index * (_HEIGHT + _GAP_Y)


def _downward(layout: Layout, arrow: tuple[str, str], row: dict[str, int]) -> str:
    start, end = arrow
    points = [(layout.x[start] + _MARGIN, _top(row[start]) + _HEIGHT)]
    for index, x in enumerate(layout.bends[arrow], row[start] + 1):
        points += [(x + _MARGIN, _top(index)), (x + _MARGIN, _top(index) + _HEIGHT)]
    points.append((layout.x[end] + _MARGIN, _top(row[end]) - 3))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 == x1:
            path += f"L{x1:.1f} {y1:.1f}"
        else:
            middle = (y0 + y1) / 2
            path += f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    return path


def _around(x0: float, y0: float, x1: float, y1: float, side: float) -> str:
    """A path that leads up along the right side, with rounded corners."""
    r = 10.0
    return (
        f"M{x0:.1f} {y0:.1f}H{side - r:.1f}Q{side:.1f} {y0:.1f} {side:.1f} {y0 - r:.1f}"
        f"V{y1 + r:.1f}Q{side:.1f} {y1:.1f} {side - r:.1f} {y1:.1f}H{x1 + 3:.1f}"
    )


def _box(box: _Box, x: float, y: float) -> Node:
    title, subtitle = one_line(box.title), one_line(box.subtitle)
    return el(
        "g",
        el("title", clip(f"{title} {subtitle}", 200)),
        el(
            "rect",
            x=x - _WIDTH / 2,
            y=y,
            width=_WIDTH,
            height=_HEIGHT,
            rx=_HEIGHT / 2 if box.shape == "lock" else 7,
        ),
        el("text", _short(title), x=x, y=y + 20, class_="name"),
        el("text", _short(subtitle, _SMALL_CHARACTERS), x=x, y=y + 36, class_="sub"),
        class_=f"box {box.shape}" + (" cycle" if box.in_cycle else ""),
    )


def _short(text: str, limit: int = _CHARACTERS) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _said(boxes: dict[str, _Box], arrows: list[tuple[str, str]]) -> str:
    """The picture in words, for those who do not see it."""
    said = []
    for start, end in dict.fromkeys(arrows):
        verb = "is held by" if boxes[start].shape == "lock" else "waits for"
        said.append(f"{_short(boxes[start].title)} {verb} {_short(boxes[end].title)}")
    return clip(one_line("; ".join(said)), 1000)


def tips() -> Node:
    """The arrow heads that all pictures of a page share."""
    return el(
        "svg",
        el(
            "defs",
            [
                el(
                    "marker",
                    el("path", d="M0 0L8 4L0 8z"),
                    id=name,
                    viewBox="0 0 8 8",
                    refX=7,
                    refY=4,
                    markerWidth=8,
                    markerHeight=8,
                    markerUnits="userSpaceOnUse",
                    orient="auto",
                    class_=name,
                )
                for name in ("tip", "tip-cycle")
            ],
        ),
        width=0,
        height=0,
        class_="tips",
        aria_hidden="true",
    )
