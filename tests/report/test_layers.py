"""Layout: edges point downward but those of cycles, and nothing lies upon another."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from kautopsy.report.page.layers import components, lay_out

WIDTH, GAP = 10.0, 2.0

graphs = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.just([f"n{i}" for i in range(count)]),
        st.lists(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).map(
                lambda pair: (f"n{pair[0]}", f"n{pair[1]}")
            ),
            max_size=30,
        ),
    )
)


@settings(deadline=None)
@given(graphs)
def test_layers(graph: tuple[list[str], list[tuple[str, str]]]) -> None:
    nodes, edges = graph
    layout = lay_out(nodes, edges, node_width=WIDTH, gap=GAP)
    row = {node: i for i, nodes in enumerate(layout.layers) for node in nodes}
    assert sorted(row) == sorted(nodes)
    for edge in set(edges) - layout.closing:
        assert row[edge[0]] < row[edge[1]]
        assert len(layout.bends[edge]) == row[edge[1]] - row[edge[0]] - 1
    for edge in layout.closing:
        assert row[edge[0]] >= row[edge[1]]
    for layer in layout.layers:
        for left, right in pairwise(layer):
            assert layout.x[right] - layout.x[left] >= WIDTH + GAP - 1e-6
    assert min(layout.x.values()) >= WIDTH / 2 - 1e-6
    assert max(layout.x.values()) <= layout.width - WIDTH / 2 + 1e-6


def test_a_graph_without_cycles_closes_nothing() -> None:
    layout = lay_out("abcd", [("a", "b"), ("b", "d"), ("a", "d"), ("c", "d")], node_width=1, gap=1)
    assert layout.closing == frozenset()
    # c leads to d alone, so it stands right above it.
    assert layout.layers == (("a",), ("b", "c"), ("d",))
    assert len(layout.bends["a", "d"]) == 1


def test_of_a_cycle_one_edge_closes_it() -> None:
    layout = lay_out("xabc", [("a", "b"), ("b", "c"), ("c", "a"), ("x", "b")], node_width=1, gap=1)
    assert len(layout.closing) == 1
    assert ("x", "b") not in layout.closing


def test_components() -> None:
    assert components("abcde", [("a", "c"), ("e", "d")]) == [["a", "c"], ["b"], ["d", "e"]]
