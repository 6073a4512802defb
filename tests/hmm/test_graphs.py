"""Search graphs: arrays, and the laws that tie numerator, denominator and the model together."""

from collections import defaultdict
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.k2_fsa import to_k2
from workbench.hmm.graphs.numerator import numerator, shortest_frames
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation

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


LEXICON = Lexicon(
    ("<eps>", "a", "ab", "abc", "ca", "ka", "bcab"),
    ("SIL", "A", "B", "C"),
    tuple(
        Pronunciation(word, tuple("SABC".index(c) for c in phones), np.log(p))
        for word, phones, p in [
            (1, "A", 1.0),
            (2, "AB", 0.7),
            (2, "B", 0.3),
            (3, "ABC", 1.0),
            (4, "CA", 1.0),
            (5, "CA", 1.0),
            (6, "BCAB", 1.0),
        ]
    ),
)
UNIGRAM = np.log([1e-30, 0.2, 0.15, 0.1, 0.2, 0.05, 0.1, 0.2, 1e-30])
PAUSE = 0.3


def tied(seed: int, choices: int = 2) -> TiedStates:
    """Every position of every phone has a few states, chosen at random by the context."""
    draw = np.random.default_rng(seed)
    own = choices * np.arange(12, dtype=np.int32).reshape(1, 4, 1, 3)
    table = own + draw.integers(0, choices, (4, 4, 4, 3), dtype=np.int32)
    table[:, 0] = own[:, 0]
    used, table = np.unique(table, return_inverse=True)
    return TiedStates(
        LEXICON.phones, table.reshape(4, 4, 4, 3), np.log(draw.uniform(0.2, 0.8, len(used)))
    )


def chain(phones, states):
    """Tied states of a sequence of phones, one per position."""
    around = (0, *phones, 0)
    return [
        int(s)
        for triple in zip(around, around[1:], around[2:], strict=False)
        for s in states.table[triple]
    ]


def durations(total, parts):
    """All ways to spread ``total`` frames over ``parts`` states, each at least one."""
    for cuts in combinations(range(1, total), parts - 1):
        yield np.diff([0, *cuts, total])


def spoken(words, states, frames, unigram):
    """Oracle: probability of each state sequence of these words, from the generative model, nothing shared."""
    totals = defaultdict(float)
    end = np.exp(unigram[len(LEXICON.words)])
    for said in product(*(LEXICON.of(w) for w in words)):
        for pauses in product((0, 1), repeat=len(words) + 1):
            pieces = [p.phones for p in said]
            phones = [0] * pauses[0] + [
                x for p, s in zip(pieces, pauses[1:], strict=True) for x in (*p, *[0] * s)
            ]
            p = end * np.prod([PAUSE if s else 1 - PAUSE for s in pauses])
            p *= np.prod([np.exp(unigram[q.word] + q.log_probability) for q in said])
            states_of = chain(phones, states)
            stay, leave = np.exp(states.self_loop[states_of]), np.exp(states.leave[states_of])
            for spread in durations(frames, len(states_of)) if phones else ():
                sequence = tuple(np.repeat(states_of, spread).tolist())
                totals[sequence, tuple(words)] += p * np.prod(stay ** (spread - 1) * leave)
    return dict(totals)


def all_spoken(states, frames, unigram):
    """Oracle: the same for all word sequences short enough."""
    totals = {}
    for n in range(frames // 3 + 1):
        for words in product(range(1, len(LEXICON.words)), repeat=n):
            if n == 0 or shortest_frames([LEXICON.words[w] for w in words], LEXICON) <= frames:
                totals |= spoken(words, states, frames, unigram)
    return totals


def paths(graph, frames):
    """Probability of each (state sequence, words) of a graph, by going through all of its paths."""
    alive = {(0, (), ()): 1.0}
    for _ in range(frames):
        grown = defaultdict(float)
        for (node, sequence, words), p in alive.items():
            for a in range(graph.offsets[node], graph.offsets[node + 1]):
                said = (*words, int(graph.word[a])) if graph.word[a] else words
                grown[int(graph.target[a]), (*sequence, int(graph.state[a])), said] += p * np.exp(
                    graph.weight[a]
                )
        alive = grown
    totals = defaultdict(float)
    for (node, sequence, words), p in alive.items():
        if graph.final[node] > -INF:
            totals[sequence, words] += p * np.exp(graph.final[node])
    return dict(totals)


def same(a, b):
    assert a.keys() == b.keys()
    assert all(a[key] == pytest.approx(b[key], rel=2e-5) for key in a)


@pytest.mark.parametrize("frames", [3, 6, 8])
@pytest.mark.parametrize("seed", range(3))
def test_denominator_equals_the_generative_model(seed, frames):
    """Total weight of every state sequence with its words equals that of the model, written out without any sharing."""
    states = tied(seed)
    graph = denominator(LEXICON, UNIGRAM, states, PAUSE)
    graph.check()
    same(paths(graph, frames), all_spoken(states, frames, UNIGRAM))


def test_denominator_with_a_unigram_that_does_not_sum_to_one():
    """Look-ahead cancels along every path even where masses are no probabilities."""
    states, unigram = tied(3), UNIGRAM + np.log(np.linspace(0.5, 3, len(UNIGRAM)))
    same(paths(denominator(LEXICON, unigram, states, PAUSE), 7), all_spoken(states, 7, unigram))


@pytest.mark.parametrize("words", [(), (1,), (4,), (2, 1), (1, 2), (3,), (2, 2)])
def test_numerator_is_the_denominator_for_the_reference(words):
    """The numerator's paths and weights are exactly those of the denominator that say the reference."""
    states, frames = tied(4), 9
    graph = numerator(words, LEXICON, states, UNIGRAM, PAUSE)
    graph.check()
    mine = paths(graph, frames)
    everything = paths(_denominator_of(4), frames)
    same(mine, {key: p for key, p in everything.items() if key[1] == words})
    same(mine, spoken(words, states, frames, UNIGRAM))


@cache
def _denominator_of(seed):
    return denominator(LEXICON, UNIGRAM, tied(seed), PAUSE)


@pytest.mark.parametrize("choices", [1, 2, 5])
def test_denominator_is_stochastic(choices):
    """All that can happen in a state sums to one (mass is pushed all the way); at the start less p(no frames)."""
    graph = denominator(LEXICON, UNIGRAM, tied(5, choices), PAUSE)
    total = np.bincount(graph.sources(), np.exp(graph.weight.astype(float))) + np.exp(graph.final)
    assert np.allclose(total[1:], 1, atol=1e-5)
    assert total[0] == pytest.approx(1 - (1 - PAUSE) * 0.2, abs=1e-5)


def test_equal_futures_are_shared():
    """No two states of the denominator agree in what leaves them."""
    graph = denominator(LEXICON, UNIGRAM, tied(6), PAUSE)
    futures = set()
    for node in range(graph.states):
        arcs = slice(graph.offsets[node], graph.offsets[node + 1])
        columns = (
            graph.target[arcs],
            graph.state[arcs],
            graph.word[arcs],
            np.round(graph.weight[arcs], 4),
        )
        loopless = [
            row for row in zip(*(c.tolist() for c in columns), strict=True) if row[0] != node
        ]
        own = graph.state[arcs][graph.target[arcs] == node].tolist()
        futures.add((tuple(own), round(float(graph.final[node]), 4), *sorted(loopless)))
    assert len(futures) == graph.states


def test_words_that_cannot_be_said_are_refused():
    """A reference word of probability 0, or a unigram that never ends, raises ValueError."""
    silent = np.where(np.arange(len(UNIGRAM)) == 2, -INF, UNIGRAM)
    with pytest.raises(ValueError, match="ab"):
        numerator((2,), LEXICON, tied(0), silent)
    assert 2 not in denominator(LEXICON, silent, tied(0)).word
    with pytest.raises(ValueError, match="</s>"):
        denominator(LEXICON, np.where(np.arange(len(UNIGRAM)) == 7, -INF, UNIGRAM), tied(0))


def test_shortest_frames():
    """Three frames for each phone of the shortest pronunciations; silence alone needs three."""
    assert shortest_frames(["ab", "abc"], LEXICON) == 12
    assert shortest_frames([], LEXICON) == 3


@pytest.mark.k2
def test_k2_scores_all_paths_alike():
    """The total of k2's exact lattice equals the sum over all paths of the arrays."""
    import k2
    import torch

    states, frames = tied(7), 8
    graph = denominator(LEXICON, UNIGRAM, states, PAUSE)
    scores = np.random.default_rng(0).normal(size=(frames, states.count)).astype(np.float32)
    total = sum(
        p * np.exp(scores[range(frames), sequence].sum())
        for (sequence, _), p in paths(graph, frames).items()
    )
    dense = k2.DenseFsaVec(
        torch.from_numpy(np.pad(scores, ((0, 0), (1, 0)), constant_values=-1e10))[None],
        torch.tensor([[0, 0, frames]], dtype=torch.int32),
    )
    lattice = k2.intersect_dense_pruned(
        k2.create_fsa_vec([to_k2(graph)]), dense, 100.0, 100.0, 1, 100_000
    )
    assert lattice.get_tot_scores(True, True).item() == pytest.approx(np.log(total), abs=1e-4)
