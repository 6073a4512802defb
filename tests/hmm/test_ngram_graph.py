"""The test's graph against every sentence of a tiny language, an independent decoder, and exact rescoring."""

from collections import defaultdict
from functools import cache
from itertools import product

import numpy as np
import pytest
from test_graphs import LEXICON, PAUSE, chain, durations, tied
from test_k2_lattice import kaldi_graph

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.ngram import NGramGraph, ngram_graph
from workbench.hmm.graphs.numerator import shortest_frames
from workbench.language.backoff import Level, NGram
from workbench.language.ngram import estimate
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search

WORDS = LEXICON.words
TEXT = [
    "a ab abc",
    "ab a",
    "ca ka a",
    "a ab ca",
    "bcab a",
    "a",
    "a a ab",
    "ka",
    "ab abc",
    "ca ka ab",
    "",
    "a ab abc",
]


@cache
def model(order):
    return estimate([line.split() for line in TEXT], WORDS, order)


def ways(ngram, history, word):
    """(log p, history after it) for each n-gram by which ``word`` can be predicted, with the back-offs before it."""
    paid = 0.0
    while True:
        backoff, listed = ngram._row(history) or (0.0, {})
        if word in listed or not history:
            yield (
                paid + (listed[word] if history else ngram._single[word]),
                ngram.advance(history, word),
            )
        if not history:
            return
        paid, history = paid + backoff, history[1:]


def best_score(ngram, words, history=None):
    """Log probability of a sentence, each word predicted by the n-gram that is best for the whole."""
    history = ngram.start if history is None else history
    word, *rest = words or [ngram.eos]
    if word == ngram.eos:
        return max(p for p, _ in ways(ngram, history, word))
    return max(p + best_score(ngram, rest, after) for p, after in ways(ngram, history, word))


def exact_score(ngram, words):
    """The same with the longest n-grams that the model lists, as it is meant."""
    history, total = ngram.start, 0.0
    for word in (*words, ngram.eos):
        total, history = total + ngram.score(history, word), ngram.advance(history, word)
    return total


def sentences(states, frames, ngram, lm_scale=1.0, insertion=0.0):
    """Oracle: log score of the best way to say each (state sequence, words), from the model, nothing shared."""
    best = defaultdict(lambda: -np.inf)
    for n in range(frames // 3 + 1):
        for words in product(range(1, len(WORDS)), repeat=n):
            if words and shortest_frames([WORDS[w] for w in words], LEXICON) > frames:
                continue
            lm = lm_scale * best_score(ngram, words) + insertion * n
            for said, pauses in product(
                product(*(LEXICON.of(w) for w in words)), product((0, 1), repeat=n + 1)
            ):
                phones = [0] * pauses[0] + [
                    x for p, s in zip(said, pauses[1:], strict=True) for x in (*p.phones, *[0] * s)
                ]
                rest = sum(np.log(PAUSE if s else 1 - PAUSE) for s in pauses) + sum(
                    p.log_probability for p in said
                )
                states_of = chain(phones, states)
                stay, leave = states.self_loop[states_of], states.leave[states_of]
                for spread in durations(frames, len(states_of)) if phones else ():
                    key = tuple(np.repeat(states_of, spread).tolist()), words
                    best[key] = max(best[key], lm + rest + ((spread - 1) * stay + leave).sum())
    return dict(best)


def best_paths(graph, frames):
    """The same of a graph, by going through all of its paths."""
    alive = {(0, (), ()): 0.0}
    for _ in range(frames):
        grown = defaultdict(lambda: -np.inf)
        for (node, sequence, words), score in alive.items():
            for a in range(graph.offsets[node], graph.offsets[node + 1]):
                said = (*words, int(graph.word[a])) if graph.word[a] else words
                key = int(graph.target[a]), (*sequence, int(graph.state[a])), said
                grown[key] = max(grown[key], score + float(graph.weight[a]))
        alive = grown
    best = defaultdict(lambda: -np.inf)
    for (node, sequence, words), score in alive.items():
        if graph.final[node] > -np.inf:
            best[sequence, words] = max(best[sequence, words], score + float(graph.final[node]))
    return dict(best)


@pytest.mark.parametrize(
    ("order", "frames", "seed"), [(1, 7, 0), (2, 6, 1), (2, 9, 2), (3, 8, 3), (3, 9, 4), (4, 7, 5)]
)
def test_every_sentence_has_its_score(order, frames, seed):
    """The best path of every state sequence and words scores what the model says, without sharing or look-ahead."""
    graph = ngram_graph(LEXICON, model(order), tied(seed), PAUSE).graph
    graph.check()
    expected, found = sentences(tied(seed), frames, model(order)), best_paths(graph, frames)
    assert expected.keys() == found.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in expected)


def test_scaled():
    """The language model can be scaled and words rewarded without making the graph again, look-ahead included."""
    made = ngram_graph(LEXICON, model(3), tied(6), PAUSE)
    expected, found = (
        sentences(tied(6), 7, model(3), 0.6, -0.4),
        best_paths(made.scaled(0.6, -0.4), 7),
    )
    assert expected.keys() == found.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in expected)
    assert made.scaled() is made.graph


def test_save_and_load(tmp_path):
    """A mapped graph equals the one that was saved, the language model's part too."""
    made = ngram_graph(LEXICON, model(2), tied(0), PAUSE)
    made.save(tmp_path / "graph")
    again = NGramGraph.load(tmp_path / "graph")
    assert np.array_equal(again.lm, made.lm)
    assert np.array_equal(again.scaled(2.0).weight, made.scaled(2.0).weight)


def found_by(graph, scores):
    return best_path(search(graph, scores, np.inf, 0.1, 10**6))


def test_the_search_agrees_with_rescoring_and_kaldi():
    """Kaldi finds the same best path; exact rescoring the same words, unless backing off is likelier than listed."""
    unigram, agreed = estimate([line.split() for line in TEXT], WORDS, 1).unigram(), 0
    states = tied(7)
    graph = ngram_graph(LEXICON, model(3), states, PAUSE).graph
    wide = denominator(LEXICON, unigram, states, PAUSE)
    for seed in range(8):
        scores = np.random.default_rng(seed).normal(0, 1.5, (30, states.count)).astype(np.float32)
        words, _, score = found_by(graph, scores)
        exact, exact_best = rescore(
            search(wide, scores, np.inf, 1e3, 10**6), model(3), unigram, beam=np.inf
        )
        assert score >= exact_best - 1e-3
        if best_score(model(3), words) == exact_score(model(3), words):
            assert (words, pytest.approx(score, abs=1e-3)) == (exact, exact_best)
            agreed += 1
        kaldi_words, kaldi_score = kaldis_best(graph, scores)
        assert (kaldi_words, kaldi_score) == (words, pytest.approx(score, abs=1e-2))
    assert agreed >= 4


def kaldis_best(graph, scores):
    kaldi, fst = pytest.importorskip("kaldi_decoder"), pytest.importorskip("kaldifst")
    kept = kaldi_graph(graph), kaldi.DecodableCtc(scores)  # the decoder keeps pointers only
    made = kaldi.FasterDecoder(kept[0], kaldi.FasterDecoderOptions(beam=200.0, max_active=10**6))
    made.decode(kept[1])
    _, _, words, weight = fst.get_linear_symbol_sequence(made.get_best_path()[1])
    return tuple(words), -(weight.value1 + weight.value2)


def test_what_cannot_be_said_is_refused():
    """A model without words, or one that never ends, raises ValueError."""
    silent = Level(
        np.array([0, 9]),
        np.arange(9, dtype=np.int32),
        np.full(9, -np.inf, np.float32),
        np.zeros(9, np.float32),
    )
    with pytest.raises(ValueError, match="</s>"):
        ngram_graph(LEXICON, NGram((*WORDS, "</s>", "<s>"), (silent,)), tied(0))
