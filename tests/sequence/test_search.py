"""The search against every path of tiny graphs, and against its own wider and slower settings."""

import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import every_path, links, tiny_graph, tiny_scores

from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.sequence.lattice import NoPath
from workbench.sequence.search import Workspace, search
from workbench.sequence.search_forward import kth_largest
from workbench.sequence.search_layout import compiled, once_per_graph

WIDE = {"beam": np.inf, "lattice_beam": 1e9, "max_active": 10**6}
SEEDS = st.integers(0, 10**6)


def random_case(seed, frames=4, **size):
    rng = np.random.default_rng(seed)
    return tiny_graph(rng, **size), tiny_scores(rng, frames)


def lattice_arcs(lattice):
    """The arcs as a sorted list of (frame, state, word, weight), which names no node."""
    return sorted(
        zip(
            lattice.frame.tolist(),
            lattice.state.tolist(),
            lattice.word.tolist(),
            np.round(lattice.weight, 9).tolist(),
            strict=True,
        )
    )


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.5, 2.0, 5.0, 1e9]))
def test_lattice_is_every_path_pruned_exactly(seed, width):
    """With an infinite search beam the arcs are exactly those on paths within the lattice beam of the best path."""
    graph, scores = random_case(seed)
    lattice = search(graph, scores, np.inf, width, 10**6)
    paths = every_path(graph, scores)
    expected = sorted(
        (
            t,
            int(graph.state[k]),
            int(graph.word[k]),
            round(float(graph.weight[k]) + float(scores[t, graph.state[k]]), 9),
        )
        for t, k in links(paths, width)
    )
    assert lattice.best == pytest.approx(paths.score.max(), abs=1e-6)
    assert lattice_arcs(lattice) == expected


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(-6, 0))
def test_floor_keeps_paths_of_at_least_it(seed, below):
    """A floor below the best path prunes like a lattice beam of that width; a floor above it leaves no path."""
    graph, scores = random_case(seed)
    best = search(graph, scores, **WIDE).best
    by_floor = search(graph, scores, np.inf, 0.0, 10**6, floor=best + below)
    assert lattice_arcs(by_floor) == lattice_arcs(search(graph, scores, np.inf, -below, 10**6))
    with pytest.raises(NoPath, match="below the floor"):
        search(graph, scores, np.inf, 1.0, 10**6, floor=best + 0.1)


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
    """The same lattice comes from arcs in another order, a workspace that was used before, or one that must grow."""
    rng = np.random.default_rng(3)
    graph, scores = tiny_graph(rng, states=30, arcs=300, tied=8), tiny_scores(rng, 20, 8)
    order = np.argsort(graph.sources() + rng.random(graph.arcs))
    other = Graph(
        graph.offsets,
        *(getattr(graph, n)[order] for n in ("target", "state", "word", "weight")),
        graph.final,
        graph.phone[order],
    )
    limits = {"beam": 4.0, "lattice_beam": 3.0, "max_active": 9}
    expected = lattice_arcs(search(graph, scores, **limits))
    small = Workspace()
    small.size_tokens(3)
    small.size_arcs(2)
    assert lattice_arcs(search(graph, scores, **limits, workspace=small)) == expected
    assert lattice_arcs(search(graph, scores, **limits, workspace=small)) == expected
    assert lattice_arcs(search(other, scores, **limits)) == expected
    assert len(expected) > 100


def test_threads_do_not_disturb_each_other():
    """Searches of several threads at once give what each gives alone."""
    cases = [random_case(seed, frames=60, states=40, arcs=400) for seed in range(4)]
    expected = [lattice_arcs(search(g, s, 5.0, 4.0, 30)) for g, s in cases]
    found = [None] * 4

    def work(i):
        for _ in range(20):
            found[i] = lattice_arcs(search(*cases[i], 5.0, 4.0, 30))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == expected


def test_only_final_states_count_at_the_end():
    """A final state far below the beam at the last frame is still found; without any the reason is told."""
    graph = from_arcs(
        [0, 0, 1, 2],
        [1, 2, 1, 2],
        [0, 1, 0, 1],
        [0] * 4,
        [0, -1, 0, -1],
        [-np.inf, -np.inf, -0.5],
        [0] * 4,
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
def test_scores_that_are_no_numbers_are_refused(bad):
    """NaN and +inf raise instead of passing for impossible."""
    graph, scores = random_case(0)
    scores[1, 1] = bad
    with pytest.raises(ValueError, match="NaN"):
        search(graph, scores, **WIDE)


@given(st.lists(st.floats(-50, 0, width=32), min_size=2, max_size=60), st.data())
def test_kth_largest_is_that_of_a_sort(values, data):
    """The histogram selection returns exactly the k-th of the sorted values."""
    k = data.draw(st.integers(1, len(values) - 1))
    assert kth_largest(np.array(values, np.float32), k) == np.sort(np.array(values, np.float32))[-k]


def test_layouts_live_as_long_as_their_graph():
    """The layout of a graph is made once, and dies with the graph."""
    graph, _ = random_case(1)
    made = []
    known = once_per_graph(lambda g: made.append(g) or set(g.target))
    assert known(graph) is known(graph)
    assert len(made) == 1
    layout = weakref.ref(known(graph))
    del graph
    assert layout() is None
    assert compiled(made[0]) is compiled(made[0])
