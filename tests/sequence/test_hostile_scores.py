"""No scores break the compiled code: neither huge, equal or denormal ones, nor NaN and infinity."""

from collections import Counter

import hostile_scores
import numpy as np
import pytest
from oracles import tiny_graph

from workbench.hmm.align import best_arcs
from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.scores import BROKEN_SCORES, LARGEST_SCORE, BadScores, largest_score
from workbench.sequence.search import search

ROUNDS = 10  # of each kind of scores


def test_hostile_scores_are_taken_or_refused():
    """Scores of every kind are searched, aligned and decoded, or refused, and nothing is raised.

    `make bounds` tries more of them, with checks of every index in the compiled code.
    """
    outcomes = hostile_scores.fuzz(ROUNDS * len(hostile_scores.SCORES))
    kinds = Counter(outcome.partition(":")[0] for outcome in outcomes.elements())
    assert kinds == dict.fromkeys(hostile_scores.SCORES, 2 * ROUNDS)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5, 2e5])
def test_the_best_path_survives_the_rounding_of_large_scores(scale):
    """The lattice holds the best path, found in double precision, although the search adds up
    numbers in float32.
    """
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph = tiny_graph(rng, states=8, arcs=20)
        scores = (scale * rng.normal(0, 1, (60, 4))).astype(np.float32)
        lattice = search(graph, scores, np.inf, 0.5, 10**6)
        _, best = best_arcs(graph, scores)
        assert lattice.best == pytest.approx(best, rel=1e-12)
        found += lattice.arcs > 0
    assert found == 60


def test_scores_are_refused_with_a_reason():
    """NaN, +inf and magnitudes above the limit are refused by search and alignment alike; -inf only
    forbids a state.
    """
    rng = np.random.default_rng(0)
    graph = tiny_graph(rng)
    scores = rng.normal(0, 1, (9, 4)).astype(np.float32)
    assert largest_score(scores) == np.abs(scores).max()
    assert largest_score(np.full((3, 4), -np.inf)) == 0
    assert largest_score(np.zeros((0, 4))) == 0

    for value in (np.nan, np.inf, 1.001 * LARGEST_SCORE, -1e30):
        broken = scores.copy()
        broken[4, 1] = value
        with pytest.raises(BadScores) as refused:
            search(graph, broken, 8.0, 6.0, 100)
        assert str(refused.value) in BROKEN_SCORES

    for value in (np.nan, np.inf):
        broken[4, 1] = value
        with pytest.raises(BadScores):
            best_arcs(graph, broken)

    forbidden = scores.copy()
    forbidden[4, 1] = -np.inf
    lattice = search(graph, forbidden, np.inf, np.inf, 10**6)
    assert 1 not in lattice.state[lattice.frame == 4]
    with pytest.raises(NoPath):
        search(graph, np.full((9, 4), -np.inf, np.float32), 8.0, 6.0, 100)


def test_scores_must_fit_the_graph():
    """Too few tied states are an error before compiled code would read beyond a row."""
    graph = tiny_graph(np.random.default_rng(0), tied=4)
    for narrow in (np.zeros((5, 2), np.float32), np.zeros(5, np.float32)):
        with pytest.raises(ValueError, match="tied state"):
            search(graph, narrow, 8.0, 6.0, 100)
        with pytest.raises(ValueError, match="tied state"):
            best_arcs(graph, narrow)
