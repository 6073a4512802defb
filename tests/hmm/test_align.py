"""Forced alignment against enumeration and on scores with a planted path; priors."""

import numpy as np
import pytest

from workbench.hmm import align
from workbench.hmm.align import best_arcs, compact, timing
from workbench.hmm.graphs.graph import Graph, NoPath, from_arcs
from workbench.hmm.graphs.numerator import numerator
from workbench.hmm.priors import log_priors
from workbench.hmm.scores import BadScores
from workbench.hmm.states import monophone
from workbench.language.lexicon import Lexicon, Pronunciation

WORDS = Lexicon(
    ("<eps>", "ab", "ca"),
    ("SIL", "A", "B", "C"),
    (Pronunciation(1, (1, 2), 0.0), Pronunciation(1, (2, 1), -1.0), Pronunciation(2, (3, 1), 0.0)),
)
UNIGRAM = np.log([1e-30, 0.4, 0.4, 0.2, 1e-30])
STATES = monophone(WORDS.phones)


def best_of_all_paths(graph: Graph, scores) -> float:
    """Oracle: the score of the best path, by following every path."""
    totals = {0: [0.0]}
    for row in scores:
        grown: dict[int, list[float]] = {}
        for node, values in totals.items():
            for arc in range(graph.offsets[node], graph.offsets[node + 1]):
                gain = float(graph.weight[arc]) + float(row[graph.state[arc]])
                reached = grown.setdefault(int(graph.target[arc]), [])
                reached.extend(value + gain for value in values)
        totals = grown
    return max(max(values) + float(graph.final[node]) for node, values in totals.items())


@pytest.mark.parametrize("seed", range(4))
def test_best_path_of_all(seed):
    """The score is the largest of all paths, and the arcs are a path that adds up to it."""
    draw = np.random.default_rng(seed)
    graph = numerator((1,), WORDS, STATES, UNIGRAM)
    scores = draw.normal(size=(9, STATES.count)).astype(np.float32)
    arcs, score = best_arcs(graph, scores)
    assert score == pytest.approx(best_of_all_paths(graph, scores), abs=1e-5)

    acoustic = scores[range(9), graph.state[arcs]].sum()
    total = graph.weight[arcs].sum() + acoustic + graph.final[graph.target[arcs[-1]]]
    assert score == pytest.approx(total, abs=1e-4)
    assert np.array_equal(graph.target[arcs[:-1]], graph.sources()[arcs[1:]])


def test_planted_states_words_and_phones_are_found():
    """Where the scores favour one path clearly, it is found with its words and phones."""
    graph = numerator((2, 1), WORDS, STATES, UNIGRAM)
    phones = [3, 1, 0, 2, 1]
    durations = [4, 2, 3, 1, 5, 2, 1, 1, 1, 2, 2, 2, 6, 1, 1]
    planted = np.repeat([3 * phone + k for phone in phones for k in range(3)], durations)
    scores = np.random.default_rng(0).normal(size=(len(planted), STATES.count)).astype(np.float32)
    scores[np.arange(len(planted)), planted] += 8

    arcs, _ = best_arcs(graph, scores)
    assert np.array_equal(graph.state[arcs], planted)
    assert graph.word[arcs][graph.word[arcs] > 0].tolist() == [2, 1]
    found = timing(graph, arcs)
    assert found.phones.tolist() == phones
    assert found.starts.tolist() == np.cumsum([0, *durations])[:-1:3].tolist()


def test_compact_graphs_align_alike():
    """Renumbering the tied states of a graph changes neither path nor score."""
    graph = numerator((2,), WORDS, STATES, UNIGRAM)
    scores = np.random.default_rng(1).normal(size=(12, STATES.count)).astype(np.float32)
    small, used = compact(graph)
    arcs, score = best_arcs(graph, scores)
    small_arcs, small_score = best_arcs(small, scores[:, used])
    assert np.array_equal(used[small.state[small_arcs]], graph.state[arcs])
    assert small_score == score


def test_what_cannot_be_aligned_raises():
    """Too few frames raise NoPath, and scores that are NaN raise BadScores."""
    graph = numerator((1,), WORDS, STATES, UNIGRAM)
    with pytest.raises(NoPath, match="5 frames"):
        best_arcs(graph, np.zeros((5, STATES.count), np.float32))
    with pytest.raises(BadScores, match="not finite"):
        best_arcs(graph, np.full((8, STATES.count), np.nan, np.float32))


def test_unreachable_end():
    """A graph that no path of this length ends in has no path, though states stay alive."""
    graph = from_arcs(
        source=[0, 1],
        target=[1, 1],
        state=[0, 0],
        word=[0, 0],
        weight=[0.0, 0.0],
        final=[-np.inf, -np.inf],
        phone=[1, 1],
    )
    with pytest.raises(NoPath):
        best_arcs(graph, np.zeros((3, 1), np.float32))


def test_priors_are_frequencies_with_a_floor():
    """Priors sum to one, follow the counts of aligned frames, and do not fall below a floor."""
    p = np.exp(log_priors(np.array([0, 0, 0, 1, -1]), 3, floor=0.01).astype(float))
    assert p.sum() == pytest.approx(1)
    assert p == pytest.approx(np.array([0.75, 0.25, 0.01]) / 1.01, rel=1e-5)
    with pytest.raises(ValueError, match="outside"):
        log_priors(np.array([3]), 3)


@pytest.mark.parametrize("frames", [8, 9, 30, 31, 60])
def test_alignment_in_blocks_is_the_same(frames, monkeypatch):
    """A long utterance keeps the arcs of a block of frames only; path and score keep their bits."""
    graph = numerator((1, 2) if frames > 11 else (1,), WORDS, STATES, UNIGRAM)
    scores = np.random.default_rng(frames).normal(0, 2, (frames, STATES.count)).astype(np.float32)
    whole = best_arcs(graph, scores)
    for block in (1, 2, 7, frames - 1, frames, frames + 5):
        monkeypatch.setattr(align, "block_frames", lambda *size, block=block: block)
        arcs, score = best_arcs(graph, scores)
        assert arcs.tolist() == whole[0].tolist()
        assert score == whole[1]


def test_memory_of_a_long_alignment_is_bounded():
    """Five minutes with 700 words keep less than 100 MB, where all arcs would take 1.5 GB."""
    frames = 30_000
    states = 13_000
    block = align.block_frames(frames, states)
    kept = 4 * block * states + 8 * -(-frames // block) * states
    assert kept < 1e8
    assert align.block_frames(500, 300) == 500
