"""Forward-backward against sums over every path, and what must hold on lattices of any length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import (
    dense_occupancies,
    every_path,
    log_total,
    pruned_paths,
    tiny_graph,
    tiny_scores,
)

from workbench.hmm.graphs.graph import Graph
from workbench.sequence.forward_backward import exponentials
from workbench.sequence.lattice import Lattice, prune
from workbench.sequence.occupancy import (
    arc_accuracies,
    arc_occupancies,
    best_path,
    by_state,
    occupancies,
)
from workbench.sequence.search import search
from workbench.sequence.sparse_rows import sum_by_state

SEEDS = st.integers(0, 10**6)


def random_lattice(
    seed: int, frames: int = 4, width: float = 1e9, **size: int
) -> tuple[Graph, np.ndarray, Lattice]:
    """A random graph, scores, and their lattice."""
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng, **size)
    scores = tiny_scores(rng, frames)
    return graph, scores, search(graph, scores, np.inf, width, 10**6)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([1.0, 3.0, 1e9]))
def test_total_and_occupancies_equal_enumeration(seed, width):
    """Total and γ equal sums over every surviving path to 1e-6, and γ sums to one per frame."""
    graph, scores, lattice = random_lattice(seed, width=width)
    paths = pruned_paths(every_path(graph, scores), width)
    total, gamma = occupancies(lattice)
    assert total == log_total(lattice) == pytest.approx(paths.total(), abs=1e-6)
    np.testing.assert_allclose(gamma.dense(4), dense_occupancies(paths, 4), atol=1e-6)
    np.testing.assert_allclose(gamma.dense(4).sum(1), 1, atol=1e-12)
    for t in range(4):
        states, _ = gamma.row(t)
        assert (np.diff(states) > 0).all()


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_best_path_is_the_best_of_all(seed):
    """Words, tied states and score of the best path are those of the best enumerated path."""
    graph, scores, lattice = random_lattice(seed)
    expected = every_path(graph, scores).best()
    path = best_path(lattice)
    assert path.score == pytest.approx(expected.score[0], abs=1e-6)
    assert [path.words] == expected.words
    np.testing.assert_array_equal(path.states, expected.states[0])


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_accuracies_equal_enumeration(seed):
    """Expected accuracy, and accuracy of the paths through each state and frame, equal means over
    every path.
    """
    graph, scores, lattice = random_lattice(seed)
    reference = np.random.default_rng(seed).integers(0, 4, 4)
    paths = every_path(graph, scores)
    share = np.exp(paths.score - paths.total())
    right = (paths.states == reference).sum(1)

    sums = arc_accuracies(lattice, (lattice.state == reference[lattice.frame]).astype(float))
    assert sums.expected == pytest.approx((share * right).sum(), abs=1e-6)
    gradient = by_state(lattice, sums.occupancy * (sums.through - sums.expected)).dense(4)
    for t in range(4):
        for s in range(4):
            here = paths.states[:, t] == s
            expected = (share * (right - sums.expected))[here].sum()
            assert gradient[t, s] == pytest.approx(expected, abs=1e-6)


def test_long_and_wide_lattices_stay_finite():
    """Two thousand frames, a total far above the best path, scores of any offset: γ still sums to
    one.
    """
    _, scores, lattice = random_lattice(5, frames=2000, states=12, arcs=60)
    total, gamma = occupancies(lattice)
    assert total > lattice.best + 1000
    np.testing.assert_allclose(gamma.dense(4).sum(1), 1, atol=1e-9)

    graph = tiny_graph(np.random.default_rng(5), states=12, arcs=60)
    moved = search(graph, scores - 50, np.inf, 1e9, 10**6)
    assert log_total(moved) == pytest.approx(total - 50 * 2000, abs=1e-3)
    np.testing.assert_allclose(occupancies(moved)[1].dense(4), gamma.dense(4), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.0, 4.0))
def test_pruning_twice_is_pruning_once(seed, width):
    """Exact pruning is idempotent, keeps the best path, and never adds to the total."""
    _, _, lattice = random_lattice(seed, frames=6)
    once = prune(lattice, width)
    twice = prune(once, width)
    assert (once.arcs, once.nodes) == (twice.arcs, twice.nodes)
    assert once.best == pytest.approx(lattice.best, abs=1e-9)
    assert log_total(once) <= log_total(lattice) + 1e-9


def test_boost_adds_to_the_arcs():
    """A boost that is constant per frame moves the total by its sum and leaves the occupancies
    alone.
    """
    _, _, lattice = random_lattice(2, frames=6)
    plain, occupancy = arc_occupancies(lattice)
    moved, same = arc_occupancies(lattice, np.full(lattice.arcs, 0.25))
    assert moved == pytest.approx(plain + 6 * 0.25)
    np.testing.assert_allclose(same, occupancy, atol=1e-12)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 99))
def test_rows_add_up_equal_states(counts, seed):
    """Frames of few arcs and of many give ascending rows whose sums are those of a dense matrix."""
    draw = np.random.default_rng(seed)
    state = draw.integers(0, 90, sum(counts)).astype(np.int32)
    values = draw.random(sum(counts))
    indptr, states, sums = sum_by_state(np.cumsum([0, *counts]), state, values)
    dense = np.zeros((len(counts), 90))
    np.add.at(dense, (np.repeat(np.arange(len(counts)), counts), state), values)
    for t in range(len(counts)):
        row = slice(indptr[t], indptr[t + 1])
        assert np.array_equal(states[row], np.flatnonzero(dense[t]))
        np.testing.assert_allclose(sums[row], dense[t, states[row]], rtol=1e-12)


@given(hnp.arrays(np.float64, st.integers(0, 70), elements=st.floats(-800, 0)))
def test_exponentials_are_exponentials(x):
    """Exponentials are right to a few units in the last place, 1 at zero, and nearly 0 at -inf and
    for NaN.
    """
    results = np.append(x, [0.0, -np.inf, np.nan])
    exponentials(results)
    np.testing.assert_allclose(results[:-3], np.exp(np.maximum(x, -700.0)), rtol=1e-15)
    assert results[-3] == 1.0
    assert 0 <= results[-2:].max() < 1e-300
