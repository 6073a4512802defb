"""The search against every path of tiny graphs, and against its own wider and slower settings."""

import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import every_path, links, tiny_graph, tiny_scores

from workbench.hmm.graphs.graph import Graph, NoPath, from_arcs
from workbench.hmm.scores import NOT_FINITE, BadScores
from workbench.sequence.lattice import Lattice
from workbench.sequence.search import SearchWorkspace, search
from workbench.sequence.search_graph import once_per_graph, search_graph
from workbench.sequence.token_passing import kth_largest

WIDE = {"beam": np.inf, "lattice_beam": 1e9, "max_active": 10**6}
SEEDS = st.integers(0, 10**6)


def random_case(seed: int, frames: int = 4, **size: int) -> tuple[Graph, np.ndarray]:
    """A random graph and scores of so many frames."""
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng, **size)
    return graph, tiny_scores(rng, frames)


def lattice_arcs(lattice: Lattice) -> list[tuple[int, int, int, float]]:
    """The arcs as a sorted list of (frame, state, word, weight), which does not name nodes."""
    columns = (lattice.frame, lattice.state, lattice.word, np.round(lattice.weight, 9))
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.5, 2.0, 5.0, 1e9]))
def test_lattice_is_every_path_pruned_exactly(seed, width):
    """With an infinite search beam the arcs are exactly those on paths within the lattice beam of
    the best path.
    """
    graph, scores = random_case(seed)
    lattice = search(graph, scores, np.inf, width, 10**6)
    paths = every_path(graph, scores)
    expected = []
    for t, k in links(paths, width):
        state = int(graph.state[k])
        weight = float(graph.weight[k]) + float(scores[t, state])
        expected.append((t, state, int(graph.word[k]), round(weight, 9)))
    assert lattice.best == pytest.approx(paths.score.max(), abs=1e-6)
    assert lattice_arcs(lattice) == sorted(expected)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 6))
def test_narrow_search_finds_part_of_the_wide_lattice(seed, max_active):
    """Beam and active limit only ever lose arcs, and a beam that binds nowhere loses none."""
    graph, scores = random_case(seed, frames=6)
    wide = search(graph, scores, **WIDE)
    assert lattice_arcs(search(graph, scores, 1e4, 1e9, 10**6)) == lattice_arcs(wide)
    try:
        narrow = search(graph, scores, 2.0, 1e9, max_active)
    except NoPath:
        return
    assert set(lattice_arcs(narrow)) <= set(lattice_arcs(wide))
    assert narrow.best <= wide.best + 1e-9


def test_order_of_arcs_and_history_of_the_workspace_do_not_matter():
    """The same lattice comes from arcs in another order, a workspace that was used before, or one
    that must grow.
    """
    rng = np.random.default_rng(3)
    graph = tiny_graph(rng, states=30, arcs=300, tied=8)
    scores = tiny_scores(rng, 20, 8)
    order = np.argsort(graph.sources() + rng.random(graph.arcs))
    columns = {name: getattr(graph, name)[order] for name in ("target", "state", "word", "weight")}
    other = Graph(graph.offsets, **columns, final=graph.final, phone=graph.phone[order])

    limits = {"beam": 4.0, "lattice_beam": 3.0, "max_active": 9}
    expected = lattice_arcs(search(graph, scores, **limits))
    small = SearchWorkspace(tokens=3, arcs=2)
    assert lattice_arcs(search(graph, scores, **limits, workspace=small)) == expected
    assert lattice_arcs(search(graph, scores, **limits, workspace=small)) == expected
    assert lattice_arcs(search(other, scores, **limits)) == expected
    assert len(expected) > 100


@pytest.mark.slow
def test_threads_do_not_disturb_each_other():
    """Searches of several threads at once give what each gives alone."""
    cases = [random_case(seed, frames=60, states=40, arcs=400) for seed in range(4)]
    expected = [lattice_arcs(search(graph, scores, 5.0, 4.0, 30)) for graph, scores in cases]
    results = [None] * 4

    def work(i: int) -> None:
        for _ in range(20):
            results[i] = lattice_arcs(search(*cases[i], 5.0, 4.0, 30))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == expected


def test_only_final_states_count_at_the_end():
    """A final state far below the beam at the last frame is still found; without any NoPath gives
    the reason.
    """
    graph = from_arcs(
        source=[0, 0, 1, 2],
        target=[1, 2, 1, 2],
        state=[0, 1, 0, 1],
        word=[0] * 4,
        weight=[0, -1, 0, -1],
        final=[-np.inf, -np.inf, -0.5],
        phone=[0] * 4,
    )
    scores = np.zeros((3, 2), np.float32)
    scores[2, 1] = -100
    lattice = search(graph, scores, 10.0, 1.0, 100)
    assert lattice.best == pytest.approx(-3 - 100 - 0.5)
    with pytest.raises(NoPath, match="no final state"):
        search(graph, scores, 0.5, 1.0, 100)
    with pytest.raises(NoPath, match="no state"):
        search(graph, np.full((3, 2), -np.inf, np.float32), 10.0, 1.0, 100)
    scores[2] = -np.inf
    with pytest.raises(NoPath, match="no final state"):
        search(graph, scores, np.inf, 1.0, 100)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_numbers_are_refused(bad):
    """NaN and +inf raise BadScores instead of passing for impossible."""
    graph, scores = random_case(0)
    scores[1, 1] = bad
    with pytest.raises(BadScores, match=NOT_FINITE):
        search(graph, scores, **WIDE)


@given(st.lists(st.floats(-50, 0, width=32), min_size=2, max_size=60), st.data())
def test_kth_largest_is_that_of_a_sort(values, data):
    """The selection by a histogram returns exactly the k-th of the sorted values."""
    k = data.draw(st.integers(1, len(values) - 1))
    array = np.array(values, np.float32)
    assert kth_largest(array, k) == np.sort(array)[-k]


def test_search_graphs_live_as_long_as_their_graph():
    """What is derived from a graph is made once, and dies with the graph."""
    graph, _ = random_case(1)
    made = []

    def make(g: Graph) -> set[int]:
        made.append(g)
        return set(g.target)

    derived = once_per_graph(make)
    assert derived(graph) is derived(graph)
    assert len(made) == 1
    reference = weakref.ref(derived(graph))
    del graph
    assert reference() is None
    assert search_graph(made[0]) is search_graph(made[0])
