"""The test's graph against every sentence of a tiny language, an independent decoder, and exact rescoring."""

from collections import defaultdict
from functools import cache
from itertools import product

import numpy as np
import pytest
from test_graphs import LEXICON, PAUSE, chain, durations, tied

from workbench.hmm.ngram_graph import ngram_graph
from workbench.hmm.numerator import shortest_frames
from workbench.language.ngram import estimate

WORDS = LEXICON.words
TEXT = ["a ab abc", "ab a", "ca ka a", "a ab ca", "bcab a", "a", "a a ab", "ka", "ab abc", "ca ka ab", "", "a ab abc"]


@cache
def model(order):
    return estimate([line.split() for line in TEXT], WORDS, order)


def ways(ngram, history, word):
    """(log p, history after it) for each n-gram by which ``word`` can be predicted, with the back-offs before it."""
    paid = 0.0
    while True:
        backoff, listed = ngram._row(history) or (0.0, {})
        if word in listed or not history:
            yield paid + (listed[word] if history else ngram._single[word]), ngram.advance(history, word)
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


def sentences(states, frames, ngram, lm_scale=1.0, insertion=0.0):
    """Oracle: log score of the best way to say each (state sequence, words), from the model, nothing shared."""
    best = defaultdict(lambda: -np.inf)
    for n in range(frames // 3 + 1):
        for words in product(range(1, len(WORDS)), repeat=n):
            if words and shortest_frames([WORDS[w] for w in words], LEXICON) > frames:
                continue
            lm = lm_scale * best_score(ngram, words) + insertion * n
            for said, pauses in product(product(*(LEXICON.of(w) for w in words)), product((0, 1), repeat=n + 1)):
                phones = [0] * pauses[0] + [x for p, s in zip(said, pauses[1:], strict=True) for x in (*p.phones, *[0] * s)]
                rest = sum(np.log(PAUSE if s else 1 - PAUSE) for s in pauses) + sum(p.log_probability for p in said)
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


@pytest.mark.parametrize(("order", "frames", "seed"), [(1, 7, 0), (2, 6, 1), (2, 9, 2), (3, 8, 3), (3, 9, 4), (4, 7, 5)])
def test_every_sentence_has_its_score(order, frames, seed):
    """The best path of every state sequence and words scores what the model says, without sharing or look-ahead."""
    graph = ngram_graph(LEXICON, model(order), tied(seed), PAUSE).graph
    graph.check()
    expected, found = sentences(tied(seed), frames, model(order)), best_paths(graph, frames)
    assert expected.keys() == found.keys()
    assert all(found[key] == pytest.approx(expected[key], abs=1e-4) for key in expected)
