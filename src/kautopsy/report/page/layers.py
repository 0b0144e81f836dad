"""Layout of a small directed graph in layers from top to bottom, cycles included.

The usual four steps (Sugiyama, Tagawa and Toda 1981): edges that close a cycle are set aside, every
node gets a layer below those it is reached from, edges over several layers get a bend in each, and
the order within the layers follows the neighbours'. Graphs here have tens of nodes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6
Edge = tuple[str, str]


@dataclass(frozen=True)
class Layout:
    """Where things are: ``layers`` top first, nodes left to right; x is the centre of a node.

    :param x: of each node, in the unit of the widths, the leftmost edge at 0
    :param bends: x in each layer between the ends of an edge that spans several
    :param closing: the edges that lead upward
    """

    layers: tuple[tuple[str, ...], ...]
    x: dict[str, float]
    bends: dict[Edge, tuple[float, ...]]
    closing: frozenset[Edge]
    width: float


def lay_out(
    nodes: Sequence[str], edges: Sequence[Edge], *, node_width: float, gap: float
) -> Layout:
    """Lay out one connected graph; ``edges`` are pairs of ``nodes``."""
    edges = list(dict.fromkeys(edges))
    closing = _closing(nodes, edges)
    down = [edge for edge in edges if edge not in closing]
    layer = _layers(nodes, down)
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for node in nodes:
        rows[layer[node]].append(node)

    # Names of bends cannot be those of nodes: they hold a NUL.
    chains: dict[Edge, list[str]] = {}
    links: list[Edge] = []
    for edge in down:
        first, last = edge
        chain = [f"\0{first}\0{last}\0{row}" for row in range(layer[first] + 1, layer[last])]
        for row, bend in enumerate(chain, layer[first] + 1):
            rows[row].append(bend)
        chains[edge] = chain
        path = [first, *chain, last]
        links += list(pairwise(path))

    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for first, last in links:
        below[first].append(last)
        above[last].append(first)
    for sweep in range(_SWEEPS):
        downward = sweep % 2 == 0
        near = above if downward else below
        for index in range(len(rows)) if downward else reversed(range(len(rows))):
            beside = rows[index - 1] if downward else rows[(index + 1) % len(rows)]
            place = {node: i for i, node in enumerate(beside)}
            own = {node: i for i, node in enumerate(rows[index])}
            rows[index].sort(key=lambda node: _mean(near[node], place, own[node]))

    x = _positions(rows, above, below, node_width, gap)
    left = min((x[node] - node_width / 2 for node in nodes), default=0.0)
    right = max((x[node] + node_width / 2 for node in nodes), default=0.0)
    for bend in (bend for chain in chains.values() for bend in chain):
        left, right = min(left, x[bend]), max(right, x[bend])
    return Layout(
        layers=tuple(tuple(node for node in row if node in layer) for row in rows),
        x={node: x[node] - left for node in nodes},
        bends={edge: tuple(x[bend] - left for bend in chain) for edge, chain in chains.items()},
        closing=frozenset(closing),
        width=right - left,
    )


def components(nodes: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """The connected parts, the direction of edges aside, each in the order of ``nodes``."""
    parent = {node: node for node in nodes}

    def root(node: str) -> str:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, last in edges:
        parent[root(first)] = root(last)
    parts: dict[str, list[str]] = {}
    for node in nodes:
        parts.setdefault(root(node), []).append(node)
    return list(parts.values())


def _closing(nodes: Sequence[str], edges: Sequence[Edge]) -> set[Edge]:
    out: dict[str, list[str]] = defaultdict(list)
    entered = {last for _first, last in edges}
    for first, last in edges:
        out[first].append(last)
    closing: set[Edge] = set()
    done: set[str] = set()
    # From where nothing leads to first, so that edges into a cycle point downward.
    for start in sorted(nodes, key=lambda node: node in entered):
        if start in done:
            continue
        path = {start: iter(out[start])}
        while path:
            node = next(reversed(path))
            for following in path[node]:
                if following in path:
                    closing.add((node, following))
                elif following not in done:
                    path[following] = iter(out[following])
                    break
            else:
                del path[node]
                done.add(node)
    return closing


def _layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    layer = dict.fromkeys(nodes, 0)
    # Longest paths by relaxation: at most one round for each node of a graph without cycles.
    for _ in nodes:
        changed = False
        for first, last in edges:
            if layer[last] <= layer[first]:
                layer[last] = layer[first] + 1
                changed = True
        if not changed:
            break
    below: dict[str, list[int]] = defaultdict(list)
    entered = {last for _first, last in edges}
    for first, last in edges:
        below[first].append(layer[last])
    for node in nodes:
        # A node that nothing leads to stands right above what it leads to.
        if node not in entered and below[node]:
            layer[node] = min(below[node]) - 1
    return layer


def _mean(near: Sequence[str], place: dict[str, int], otherwise: float) -> float:
    known = [place[node] for node in near if node in place]
    return sum(known) / len(known) if known else otherwise


def _positions(
    rows: list[list[str]],
    above: dict[str, list[str]],
    below: dict[str, list[str]],
    node_width: float,
    gap: float,
) -> dict[str, float]:
    def half(node: str) -> float:
        return 0.0 if node.startswith("\0") else node_width / 2

    x: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for node in row:
            x[node] = at + half(node)
            at = x[node] + half(node) + gap
        middle = (at - gap) / 2
        for node in row:
            x[node] -= middle
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wished = [
                sum(x[n] for n in near[node]) / len(near[node]) if near[node] else x[node]
                for node in row
            ]
            placed: list[float] = []
            for node, wish in zip(row, wished, strict=True):
                if placed:
                    previous = row[len(placed) - 1]
                    wish = max(wish, placed[-1] + half(previous) + gap + half(node))
                placed.append(wish)
            # Keeping the order pushed nodes to the right; share that between all.
            shift = sum(p - w for p, w in zip(placed, wished, strict=True)) / len(row)
            for node, at in zip(row, placed, strict=True):
                x[node] = at - shift
    return x
