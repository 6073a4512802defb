"""The n-gram graph against all sentences of a tiny language, Kaldi's decoder and rescoring."""

from collections import defaultdict
from functools import cache
from itertools import product

import numpy as np
import pytest
from kaldi_decoders import KaldiGraph
from small_graphs import (
    LEXICON,
    PAUSE,
    all_durations,
    random_states,
    sayings,
    states_of_phones,
)

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


def ways_to_predict(ngram, history, word):
    """(log p, next history) for each n-gram that can predict ``word``, with the back-offs to it."""
    paid = 0.0
    while history:
        listed = ngram.continuations(history)
        if listed is not None:
            if word in listed.log_p:
                yield paid + listed.log_p[word], ngram.advance(history, word)
            paid += listed.backoff
        history = history[1:]
    yield paid + float(ngram.unigram()[word]), ngram.advance((), word)


def best_score(ngram, words, history=None):
    """Log probability of a sentence, with the choice of n-grams that is best for the whole."""
    history = ngram.start if history is None else history
    if not words:
        return max(p for p, _ in ways_to_predict(ngram, history, ngram.eos))

    word, *rest = words
    return max(
        p + best_score(ngram, rest, after) for p, after in ways_to_predict(ngram, history, word)
    )


def exact_score(ngram, words):
    """Log probability of a sentence, each word predicted by the longest n-gram listed."""
    history = ngram.start
    total = 0.0
    for word in (*words, ngram.eos):
        total += ngram.score(history, word)
        history = ngram.advance(history, word)
    return total


def best_generated(states, frames, ngram, lm_scale=1.0, insertion=0.0):
    """Oracle: log score of the best way to say each (state sequence, words), nothing shared."""
    best = defaultdict(lambda: -np.inf)
    for length in range(frames // 3 + 1):
        for words in product(range(1, len(WORDS)), repeat=length):
            spelt = [WORDS[word] for word in words]
            if words and shortest_frames(spelt, LEXICON) > frames:
                continue
            lm = lm_scale * best_score(ngram, words) + insertion * length
            for saying in sayings(words):
                if saying.phones:
                    best_of_saying(best, saying, words, states, frames, lm)
    return dict(best)


def best_of_saying(best, saying, words, states, frames, lm):
    """Raise the entries of ``best`` to the scores of one way to say ``words``."""
    rest = sum(np.log(PAUSE if pause else 1 - PAUSE) for pause in saying.pauses)
    rest += sum(x.log_probability for x in saying.pronunciations)
    sequence = states_of_phones(saying.phones, states)
    stay = states.self_loop[sequence]
    leave = states.leave[sequence]
    for duration in all_durations(frames, len(sequence)):
        key = tuple(np.repeat(sequence, duration).tolist()), words
        score = lm + rest + ((duration - 1) * stay + leave).sum()
        best[key] = max(best[key], score)


def best_paths(graph, frames):
    """Log score of the best path of each (state sequence, words), by going through all paths."""
    alive = {(0, (), ()): 0.0}
    for _ in range(frames):
        grown = defaultdict(lambda: -np.inf)
        for (node, sequence, words), score in alive.items():
            for arc in range(graph.offsets[node], graph.offsets[node + 1]):
                said = (*words, int(graph.word[arc])) if graph.word[arc] else words
                key = int(graph.target[arc]), (*sequence, int(graph.state[arc])), said
                grown[key] = max(grown[key], score + float(graph.weight[arc]))
        alive = grown

    best = defaultdict(lambda: -np.inf)
    for (node, sequence, words), score in alive.items():
        if graph.final[node] > -np.inf:
            best[sequence, words] = max(best[sequence, words], score + float(graph.final[node]))
    return dict(best)


def assert_same(found, expected):
    assert expected.keys() == found.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in expected)


@pytest.mark.parametrize(
    ("order", "frames", "seed"), [(1, 7, 0), (2, 6, 1), (2, 9, 2), (3, 8, 3), (3, 9, 4), (4, 7, 5)]
)
def test_every_sentence_has_its_score(order, frames, seed):
    """The best path of each state sequence with its words has the model's score."""
    states = random_states(seed)
    graph = ngram_graph(LEXICON, model(order), states, PAUSE).graph
    graph.check()
    assert_same(best_paths(graph, frames), best_generated(states, frames, model(order)))


def test_scaled():
    """Scaling the language model and rewarding words gives the scores that the model would have."""
    states = random_states(6)
    made = ngram_graph(LEXICON, model(3), states, PAUSE)
    found = best_paths(made.scaled(0.6, -0.4), 7)
    assert_same(found, best_generated(states, 7, model(3), 0.6, -0.4))
    assert made.scaled() is made.graph


def test_save_and_load(tmp_path):
    """A mapped graph equals the one that was saved, the language model's part too."""
    made = ngram_graph(LEXICON, model(2), random_states(0), PAUSE)
    made.save(tmp_path / "graph")
    loaded = NGramGraph.load(tmp_path / "graph")
    assert np.array_equal(loaded.lm, made.lm)
    assert np.array_equal(loaded.scaled(2.0).weight, made.scaled(2.0).weight)


@pytest.mark.slow
def test_the_search_agrees_with_rescoring_and_kaldi():
    """Kaldi finds the same path; rescoring the same words, where backing off is not likelier."""
    unigram = estimate([line.split() for line in TEXT], WORDS, 1).unigram()
    states = random_states(7)
    graph = ngram_graph(LEXICON, model(3), states, PAUSE).graph
    wide = denominator(LEXICON, unigram, states, PAUSE)
    agreed = 0
    for seed in range(8):
        scores = np.random.default_rng(seed).normal(0, 1.5, (30, states.count)).astype(np.float32)
        words, _, score = best_path(search(graph, scores, np.inf, 0.1, 10**6))

        lattice = search(wide, scores, np.inf, 1e3, 10**6)
        exact_words, exact = rescore(lattice, model(3), unigram, beam=np.inf)
        assert score >= exact - 1e-3
        if best_score(model(3), words) == exact_score(model(3), words):
            assert words == exact_words
            assert score == pytest.approx(exact, abs=1e-3)
            agreed += 1

        kaldi_words, kaldi_score = KaldiGraph(graph, 200.0, 8.0, 10**6).decode_lattice(scores)
        assert kaldi_words == words
        assert kaldi_score == pytest.approx(score, abs=1e-2)
    assert agreed >= 4


def test_what_cannot_be_said_is_refused():
    """A model without words, or one that never ends, raises ValueError."""
    silent = Level(
        first=np.array([0, 9]),
        word=np.arange(9, dtype=np.int32),
        log_p=np.full(9, -np.inf, np.float32),
        backoff=np.zeros(9, np.float32),
    )
    ngram = NGram((*WORDS, "</s>", "<s>"), (silent,))
    with pytest.raises(ValueError, match="</s>"):
        ngram_graph(LEXICON, ngram, random_states(0))
