"""Exact occupancies against every path of tiny graphs and against the search without pruning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import (
    dense_occupancies,
    every_path,
    log_softmax,
    slopes,
    tiny_graph,
    tiny_scores,
    tiny_task,
)

from workbench.hmm.graphs.graph import NoPath, from_arcs
from workbench.sequence.exact import exact_expected_accuracy, exact_occupancies
from workbench.sequence.occupancy import Occupancies, occupancies
from workbench.sequence.outer_gradient import decode_outer
from workbench.sequence.search import search
from workbench.settings import Settings, UserError

TASK = tiny_task(2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_enumeration(seed):
    """Totals and γ of utterances of different lengths in one batch are sums over all of their
    paths.
    """
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng)
    batch = [tiny_scores(rng, frames) for frames in (4, 6, 5)]
    totals, gammas = exact_occupancies(graph, batch)
    for scores, total, gamma in zip(batch, totals, gammas, strict=True):
        paths = every_path(graph, scores)
        assert total == pytest.approx(paths.total(), abs=1e-5)
        np.testing.assert_allclose(gamma.dense(4), dense_occupancies(paths, 4), atol=1e-6)


def test_equals_the_search_without_pruning():
    """On a language's graph and long utterances the search with infinite beams finds the same."""
    rng = np.random.default_rng(0)
    batch = [
        (3 * tiny_scores(rng, frames, TASK.states.count)).astype(np.float32) for frames in (200, 40)
    ]
    totals, gammas = exact_occupancies(TASK.denominator, batch)
    for scores, total, gamma in zip(batch, totals, gammas, strict=True):
        expected, searched = occupancies(search(TASK.denominator, scores, np.inf, np.inf, 10**6))
        assert total == pytest.approx(expected, abs=1e-4)
        np.testing.assert_allclose(
            gamma.dense(TASK.states.count), searched.dense(TASK.states.count), atol=1e-5
        )


def test_no_path_raises():
    """An utterance too short for any path raises NoPath."""
    with pytest.raises(NoPath):
        exact_occupancies(TASK.denominator, [np.zeros((2, TASK.states.count), np.float32)])


@pytest.mark.parametrize("silence", [(0,), (0, 1)])
@pytest.mark.parametrize("one_class", [True, False])
@pytest.mark.parametrize("criterion", ["mmi", "mpe", "smbr"])
def test_training_with_it(criterion, one_class, silence):
    """Value and outer gradient are those of an unpruned search, whatever silence is."""
    logits = np.random.default_rng(1).normal(0, 1.5, (12, TASK.states.count))
    prior = log_softmax(np.zeros(TASK.states.count))
    limits = dict(acoustic_scale=0.7, beam=100.0, lattice_beam=100.0, cancellation=0.0)
    chosen = Settings.of(criterion=criterion, one_silence_class=one_class, **limits)

    def decode(engine: str):
        wanted = chosen.replace(lattice_engine=engine)
        reference = TASK.reference((1, 3))
        posteriors = log_softmax(logits)
        return decode_outer(posteriors, reference, TASK.denominator, prior, wanted, silence=silence)

    exact = decode("exact")
    searched = decode("auto")
    assert exact.value == pytest.approx(searched.value, abs=1e-4 if criterion != "mmi" else 1e-5)
    assert exact.num == pytest.approx(searched.num, abs=1e-5)
    assert exact.den == pytest.approx(searched.den, abs=1e-5)
    assert exact.words == searched.words
    np.testing.assert_array_equal(exact.kept, searched.kept)
    dense = [
        Occupancies(d.indptr, d.states, d.values).dense(TASK.states.count)
        for d in (exact, searched)
    ]
    assert len(exact.kept) == 12
    assert np.abs(dense[0]).max() > 0.005
    np.testing.assert_allclose(*dense, atol=1e-6)


def test_criteria_that_need_lattices_are_refused():
    """Boosted MMI has none over all paths of a graph."""
    with pytest.raises(UserError, match="exact"):
        Settings.of(criterion="bmmi", lattice_engine="exact")


def test_scores_too_far_apart_are_refused():
    """Where forward and backward probabilities meet in no double number, there are no NaN rows.

    The last state is far likelier than the others at once, and is reached after three frames only.
    """
    loops = 3
    graph = from_arcs(
        np.arange(loops + 1),
        np.minimum(np.arange(loops + 1) + 1, loops),
        np.array([0] * loops + [1]),
        np.zeros(loops + 1, int),
        np.zeros(loops + 1),
        np.where(np.arange(loops + 1) == loops, 0.0, -np.inf),
        np.zeros(loops + 1, int),
    )
    for apart, refused in ((-100.0, False), (-400.0, True)):
        scores = np.zeros((6, 2), np.float32)
        scores[:loops, 0] = apart
        right = np.ones((6, graph.arcs), bool)
        if refused:
            with pytest.raises(NoPath, match="too far apart"):
                exact_occupancies(graph, [scores])
            with pytest.raises(NoPath, match="too far apart"):
                exact_expected_accuracy(graph, scores, right)
        else:
            totals, _ = exact_occupancies(graph, [scores])
            assert totals[0] == pytest.approx(loops * apart)
            assert exact_expected_accuracy(graph, scores, right).value == pytest.approx(6.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_expected_accuracies_equal_enumeration(seed):
    """Any arcs of any graph: the expected number of right ones, and finite differences of it."""
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng)
    scores = tiny_scores(rng, 5).astype(float)
    by_state = rng.random((5, scores.shape[1])) < 0.5  # so that paths as states know what is right

    def expected(x: np.ndarray) -> float:
        paths = every_path(graph, x)
        right = by_state[np.arange(5), paths.states].sum(1)
        return float(np.exp(paths.score - paths.total()) @ right)

    value, den, gradient = exact_expected_accuracy(graph, scores, by_state[:, graph.state])
    assert den == pytest.approx(every_path(graph, scores).total(), abs=1e-6)
    assert value == pytest.approx(expected(scores), abs=1e-6)
    np.testing.assert_allclose(gradient.dense(scores.shape[1]), slopes(expected, scores), atol=1e-6)
