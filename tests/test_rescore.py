"""Rescoring against every path of tiny tasks, with the unigram taken off and the other model put on by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import every_path, log_softmax, tiny_task

from workbench.language.ngram import estimate
from workbench.sequence.lattice import NoPath
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import Rescorer, rescore
from workbench.sequence.search import search

TASK = tiny_task(1)
WORDS = TASK.lexicon.words
SENTENCES = [s.split() for s in ("a ab ba", "ba a a", "bah ab", "a", "ab ba a", "ba bah", "ba ba a", "a ab")]
TRIGRAM = estimate(SENTENCES, WORDS, 3)


def case(seed, frames=9, width=1e9):
    scores = log_softmax(np.random.default_rng(seed).normal(0, 1.5, (frames, TASK.states.count))).astype(np.float32)
    return every_path(TASK.denominator, scores), search(TASK.denominator, scores, np.inf, width, 10**6)


def exchanged(words, ngram, scale, insertion):
    """What changing the language model adds to a path that says ``words``."""
    history, added = ngram.start, 0.0
    for w in (*words, ngram.eos):
        added += scale * ngram.score(history, w) - TASK.unigram[w] + insertion * (w != ngram.eos)
        history = ngram.advance(history, w)
    return added


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**4), st.sampled_from([0.3, 1.0, 3.0]), st.sampled_from([-1.0, 0.0, 0.5]), st.integers(1, 3))
def test_rescoring_is_exact(seed, scale, insertion, order):
    """Words and score are those of the best of all paths, scored anew one by one."""
    ngram = estimate(SENTENCES, WORDS, order)
    paths, lattice = case(seed)
    anew = [s + exchanged(w, ngram, scale, insertion) for s, w in zip(paths.score, paths.words, strict=True)]
    words, score = rescore(lattice, ngram, TASK.unigram, scale, insertion)
    assert score == pytest.approx(max(anew), abs=1e-5)
    assert words == paths.words[int(np.argmax(anew))]


def test_answers_are_kept_between_lattices():
    """One rescorer for many lattices gives what a fresh one gives, and asks the model less and less."""
    lattices = [case(seed)[1] for seed in range(6)]
    shared = Rescorer(TRIGRAM, TASK.unigram)
    assert [shared(x) for x in lattices] == [rescore(x, TRIGRAM, TASK.unigram) for x in lattices]
    known = len(shared._answers)
    shared(lattices[0])
    assert len(shared._answers) == known > 10


def test_unigram_for_itself_changes_nothing():
    """Exchanging the unigram for the same unigram leaves the best path and its score."""

    class Same:
        start, eos = (), len(WORDS)

        def score(self, history, word):
            return float(TASK.unigram[word])

        def advance(self, history, word):
            return ()

    for seed in range(5):
        _, lattice = case(seed, width=4.0)
        assert rescore(lattice, Same(), TASK.unigram)[0] == best_path(lattice)[0]
        assert rescore(lattice, Same(), TASK.unigram)[1] == pytest.approx(lattice.best, abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**4), st.floats(0.5, 30))
def test_a_beam_only_loses(seed, beam):
    """A narrow beam never finds a better path; one that prunes nothing finds the best."""
    _, lattice = case(seed)
    exact = rescore(lattice, TRIGRAM, TASK.unigram)
    try:
        assert rescore(lattice, TRIGRAM, TASK.unigram, beam=beam)[1] <= exact[1] + 1e-9
    except NoPath:
        assert beam < 30
    assert rescore(lattice, TRIGRAM, TASK.unigram, beam=1e3) == exact


def test_small_work_arrays_grow(monkeypatch):
    """Few questions at a time and little room for tokens change nothing but the number of rounds."""
    from workbench.sequence import rescore as module

    _, lattice = case(2, frames=11)
    exact = rescore(lattice, TRIGRAM, TASK.unigram)
    monkeypatch.setattr(module, "ASKED", 2)
    rescorer = Rescorer(TRIGRAM, TASK.unigram)
    tokens = module._Tokens

    class Small(tokens):
        def __init__(self, lattice):
            super().__init__(lattice)
            self.arrays = [a[:4].copy() for a in self.arrays]
            self.slots = self.slots[:8].copy()

    monkeypatch.setattr(module, "_Tokens", Small)
    assert rescorer(lattice) == exact
