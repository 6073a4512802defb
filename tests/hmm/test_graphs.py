"""Search graphs: their arrays; numerator and denominator against the generative model."""

from collections import defaultdict
from dataclasses import fields
from functools import cache
from itertools import product

import numpy as np
import pytest
from small_graphs import (
    LEXICON,
    PAUSE,
    UNIGRAM,
    all_durations,
    random_states,
    sayings,
    states_of_phones,
)

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.k2_fsa import from_k2, to_k2
from workbench.hmm.graphs.numerator import numerator, shortest_frames

INF = np.inf
END = len(LEXICON.words)  # index of the end of a sentence in a unigram


def three_states(**changes) -> Graph:
    """A graph of three states and arcs, listed out of order, with some of its columns changed."""
    columns = dict(
        source=[1, 0, 1],
        target=[2, 1, 1],
        state=[3, 1, 1],
        word=[0, 7, 0],
        weight=[-1.0, -0.5, -0.2],
        final=[-INF, -INF, 0.0],
        phone=[2, 1, 1],
    )
    return from_arcs(**{**columns, **changes})


def test_arcs_are_sorted_by_source():
    """from_arcs groups arcs by their source and keeps what belongs together."""
    graph = three_states()
    assert graph.sources().tolist() == [0, 1, 1]
    assert graph.state.tolist() == [1, 3, 1]
    assert graph.word.tolist() == [7, 0, 0]
    graph.check()


def test_save_and_load(tmp_path):
    """A mapped graph equals the one that was saved, is aligned in memory, and passes its check."""
    graph = three_states()
    graph.save(tmp_path / "graph")
    loaded = Graph.load(tmp_path / "graph")
    loaded.check()
    for field in fields(Graph):
        saved_array = getattr(graph, field.name)
        loaded_array = getattr(loaded, field.name)
        assert np.array_equal(saved_array, loaded_array)
        assert saved_array.dtype == loaded_array.dtype
        assert loaded_array.flags.aligned


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
    """check() names indices out of range, infinite weights, and states that lie on no path."""
    with pytest.raises(ValueError, match=message):
        three_states(**change).check()


def generated(words, states, frames, unigram):
    """Oracle: probability of each (state sequence, words) from the generative model, unshared."""
    totals = defaultdict(float)
    for saying in sayings(words):
        if not saying.phones:
            continue
        p = np.exp(unigram[END])
        p *= np.prod([PAUSE if pause else 1 - PAUSE for pause in saying.pauses])
        p *= np.prod([np.exp(unigram[x.word] + x.log_probability) for x in saying.pronunciations])

        sequence = states_of_phones(saying.phones, states)
        stay = np.exp(states.self_loop[sequence])
        leave = np.exp(states.leave[sequence])
        for duration in all_durations(frames, len(sequence)):
            key = tuple(np.repeat(sequence, duration).tolist()), tuple(words)
            totals[key] += p * np.prod(stay ** (duration - 1) * leave)
    return dict(totals)


def all_generated(states, frames, unigram):
    """Oracle: the same for all word sequences short enough."""
    totals = {}
    for length in range(frames // 3 + 1):
        for words in product(range(1, END), repeat=length):
            spelt = [LEXICON.words[word] for word in words]
            if not words or shortest_frames(spelt, LEXICON) <= frames:
                totals |= generated(words, states, frames, unigram)
    return totals


def path_probabilities(graph, frames):
    """Probability of each (state sequence, words) of a graph, by going through all of its paths."""
    alive = {(0, (), ()): 1.0}
    for _ in range(frames):
        grown = defaultdict(float)
        for (node, sequence, words), p in alive.items():
            for arc in range(graph.offsets[node], graph.offsets[node + 1]):
                said = (*words, int(graph.word[arc])) if graph.word[arc] else words
                key = int(graph.target[arc]), (*sequence, int(graph.state[arc])), said
                grown[key] += p * np.exp(graph.weight[arc])
        alive = grown

    totals = defaultdict(float)
    for (node, sequence, words), p in alive.items():
        if graph.final[node] > -INF:
            totals[sequence, words] += p * np.exp(graph.final[node])
    return dict(totals)


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(a[key] == pytest.approx(b[key], rel=2e-5) for key in a)


@pytest.mark.parametrize("frames", [3, 6, 8])
@pytest.mark.parametrize("seed", range(3))
def test_denominator_equals_the_generative_model(seed, frames):
    """The weight of each state sequence with its words is that of the model without any sharing."""
    states = random_states(seed)
    graph = denominator(LEXICON, UNIGRAM, states, PAUSE)
    graph.check()
    assert_same(path_probabilities(graph, frames), all_generated(states, frames, UNIGRAM))


def test_denominator_with_a_unigram_that_does_not_sum_to_one():
    """Look-ahead cancels along every path even where masses are no probabilities."""
    states = random_states(3)
    unigram = UNIGRAM + np.log(np.linspace(0.5, 3, len(UNIGRAM)))
    graph = denominator(LEXICON, unigram, states, PAUSE)
    assert_same(path_probabilities(graph, 7), all_generated(states, 7, unigram))


@pytest.mark.parametrize("words", [(), (1,), (4,), (2, 1), (1, 2), (3,), (2, 2)])
def test_numerator_is_the_denominator_for_the_reference(words):
    """The numerator has exactly the denominator's paths and weights that say the reference."""
    states = random_states(4)
    frames = 9
    graph = numerator(words, LEXICON, states, UNIGRAM, PAUSE)
    graph.check()
    found = path_probabilities(graph, frames)
    of_words = {key: p for key, p in denominator_probabilities(frames).items() if key[1] == words}
    assert_same(found, of_words)
    assert_same(found, generated(words, states, frames, UNIGRAM))


@cache
def denominator_probabilities(frames):
    return path_probabilities(denominator(LEXICON, UNIGRAM, random_states(4), PAUSE), frames)


@pytest.mark.parametrize("choices", [1, 2, 5])
def test_denominator_is_stochastic(choices):
    """All that can happen in a state sums to one; at the start to one less p(no frames)."""
    graph = denominator(LEXICON, UNIGRAM, random_states(5, choices), PAUSE)
    total = np.bincount(graph.sources(), np.exp(graph.weight.astype(float))) + np.exp(graph.final)
    assert np.allclose(total[1:], 1, atol=1e-5)
    assert total[0] == pytest.approx(1 - (1 - PAUSE) * 0.2, abs=1e-5)


def test_equal_futures_are_shared():
    """No two states of the denominator agree in what leaves them."""
    graph = denominator(LEXICON, UNIGRAM, random_states(6), PAUSE)
    futures = {future(graph, node) for node in range(graph.states)}
    assert len(futures) == graph.states


def future(graph, node):
    """The state of a node's self loop, its final weight and its other arcs, weights rounded."""
    loop = None
    others = []
    for arc in range(graph.offsets[node], graph.offsets[node + 1]):
        target = int(graph.target[arc])
        state = int(graph.state[arc])
        if target == node:
            loop = state
        else:
            weight = round(float(graph.weight[arc]), 4)
            others.append((target, state, int(graph.word[arc]), weight))
    return loop, round(float(graph.final[node]), 4), tuple(sorted(others))


def test_words_that_cannot_be_said_are_refused():
    """A reference word of probability 0, or a unigram that never ends, raises ValueError."""
    states = random_states(0)
    without_ab = UNIGRAM.copy()
    without_ab[2] = -INF
    with pytest.raises(ValueError, match="ab"):
        numerator((2,), LEXICON, states, without_ab)
    assert 2 not in denominator(LEXICON, without_ab, states).word

    endless = UNIGRAM.copy()
    endless[END] = -INF
    with pytest.raises(ValueError, match="</s>"):
        denominator(LEXICON, endless, states)


def test_shortest_frames():
    """Three frames for each phone of the shortest pronunciations; silence alone needs three."""
    assert shortest_frames(["ab", "abc"], LEXICON) == 12
    assert shortest_frames([], LEXICON) == 3


@pytest.mark.k2
def test_k2_automata_become_the_same_graph():
    """A graph that goes to k2 and back has the same paths with the same weights."""
    graph = denominator(LEXICON, UNIGRAM, random_states(8), PAUSE)
    again = from_k2(to_k2(graph))
    again.check()
    assert (again.states, again.arcs) == (graph.states, graph.arcs)
    assert_same(path_probabilities(again, 6), path_probabilities(graph, 6))
    assert np.array_equal(np.sort(again.phone), np.sort(graph.phone))


@pytest.mark.k2
def test_k2_epsilons_are_refused():
    """An automaton with a label 0 is no search graph and raises ValueError."""
    fsa = to_k2(three_states())
    labels = fsa.labels.clone()
    labels[0] = 0
    fsa.labels = labels
    with pytest.raises(ValueError, match="without a tied state"):
        from_k2(fsa)


@pytest.mark.k2
def test_k2_scores_all_paths_alike():
    """The total of k2's exact lattice equals the sum over all paths of the arrays."""
    import k2
    import torch

    states = random_states(7)
    frames = 8
    graph = denominator(LEXICON, UNIGRAM, states, PAUSE)
    scores = np.random.default_rng(0).normal(size=(frames, states.count)).astype(np.float32)
    total = sum(
        p * np.exp(scores[range(frames), sequence].sum())
        for (sequence, _), p in path_probabilities(graph, frames).items()
    )

    # Column 0 is for k2's label 0, which the graph does not use.
    columns = np.pad(scores, ((0, 0), (1, 0)), constant_values=-1e10)
    whole = torch.tensor([[0, 0, frames]], dtype=torch.int32)
    dense = k2.DenseFsaVec(torch.from_numpy(columns)[None], whole)
    fsa = k2.create_fsa_vec([to_k2(graph)])
    lattice = k2.intersect_dense_pruned(fsa, dense, 100.0, 100.0, 1, 100_000)
    assert lattice.get_tot_scores(True, True).item() == pytest.approx(np.log(total), abs=1e-4)
