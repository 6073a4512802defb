"""Search graphs: arrays, and the laws that tie numerator, denominator and the model together."""

import numpy as np
import pytest

from workbench.hmm.graph import Graph, from_arcs

INF = np.inf


def small(**changes) -> Graph:
    arcs = {
        "source": [1, 0, 1],
        "target": [2, 1, 1],
        "state": [3, 1, 1],
        "word": [0, 7, 0],
        "weight": [-1.0, -0.5, -0.2],
    }
    return from_arcs(**{**arcs, "final": [-INF, -INF, 0.0], "phone": [2, 1, 1], **changes})


def test_arcs_are_sorted_by_source():
    """from_arcs groups arcs by their source and keeps what belongs together."""
    graph = small()
    assert graph.sources().tolist() == [0, 1, 1]
    assert graph.state.tolist() == [1, 3, 1]
    assert graph.word.tolist() == [7, 0, 0]
    graph.check()


def test_save_and_load(tmp_path):
    """A mapped graph equals the one that was saved, is aligned, and passes its check."""
    graph = small()
    graph.save(tmp_path / "graph")
    again = Graph.load(tmp_path / "graph")
    again.check()
    for name in Graph.__dataclass_fields__:
        a, b = getattr(graph, name), getattr(again, name)
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype
        assert b.flags.aligned


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": [-1.0, np.nan, 0.0]}, "not finite"),
        ({"target": [3, 1, 1]}, "out of the graph"),
        ({"state": [-1, 1, 1]}, "negative"),
        ({"final": [-INF] * 3}, "no final"),
        ({"source": [0, 0, 1]}, "no path ends"),
        ({"target": [2, 2, 1]}, "no path reaches"),
    ],
)
def test_broken_graphs_are_found(change, message):
    """check() names indices out of range, weights that are not finite, and states that lie on no path."""
    with pytest.raises(ValueError, match=message):
        small(**change).check()
