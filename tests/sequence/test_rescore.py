"""Rescoring against every path of tiny tasks, with the unigram taken off and the other model added
by hand.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Paths, every_path, log_softmax, tiny_task

from workbench.hmm.graphs.graph import NoPath
from workbench.language.backoff import Level, NGram
from workbench.language.ngram import estimate
from workbench.language.trie import after, trie_of
from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search

TASK = tiny_task(1)
WORDS = TASK.lexicon.words
TEXT = ("a ab ba", "ba a a", "bah ab", "a", "ab ba a", "ba bah", "ba ba a", "a ab")
SENTENCES = [sentence.split() for sentence in TEXT]
TRIGRAM = estimate(SENTENCES, WORDS, 3)


def random_scores(seed: int, frames: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 1.5, (frames, TASK.states.count))
    return log_softmax(logits).astype(np.float32)


def random_lattice(seed: int, frames: int = 9, width: float = 1e9) -> Lattice:
    return search(TASK.denominator, random_scores(seed, frames), np.inf, width, 10**6)


def random_paths(seed: int, frames: int = 9) -> Paths:
    return every_path(TASK.denominator, random_scores(seed, frames))


def exchange(words: tuple[int, ...], ngram: NGram, scale: float) -> float:
    """What changing the language model adds to the score of a path with these ``words``."""
    history = ngram.start
    added = 0.0
    for w in (*words, ngram.eos):
        added += scale * ngram.score(history, w) - TASK.unigram[w]
        history = ngram.advance(history, w)
    return added


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**4), st.sampled_from([0.3, 1.0, 3.0]), st.integers(1, 3))
def test_rescoring_is_exact(seed, scale, order):
    """Words and score are those of the best of all paths, scored anew one by one."""
    ngram = estimate(SENTENCES, WORDS, order)
    paths = random_paths(seed)
    pairs = zip(paths.score, paths.words, strict=True)
    anew = [score + exchange(words, ngram, scale) for score, words in pairs]
    words, score = rescore(random_lattice(seed), ngram, TASK.unigram, scale, np.inf)
    assert score == pytest.approx(max(anew), abs=1e-5)
    assert words == paths.words[int(np.argmax(anew))]


def test_unigram_for_itself_changes_nothing():
    """Exchanging the unigram for the same unigram leaves the best path and its score."""
    log_p = np.asarray(TASK.unigram, np.float32)
    words = np.arange(len(log_p), dtype=np.int32)
    level = Level(np.array([0, len(log_p)]), words, log_p, np.zeros_like(log_p))
    same = NGram((*WORDS, "</s>", "<s>"), (level,))
    for seed in range(5):
        lattice = random_lattice(seed, width=4.0)
        best, score = rescore(lattice, same, TASK.unigram)
        assert best == best_path(lattice).words
        assert score == pytest.approx(lattice.best, abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**4), st.floats(0.5, 30))
def test_a_beam_only_loses(seed, beam):
    """A narrow beam never finds a better path; one that prunes nothing finds the best."""
    lattice = random_lattice(seed)
    exact = rescore(lattice, TRIGRAM, TASK.unigram, beam=np.inf)
    try:
        assert rescore(lattice, TRIGRAM, TASK.unigram, beam=beam)[1] <= exact[1] + 1e-9
    except NoPath:
        assert beam < 30
    assert rescore(lattice, TRIGRAM, TASK.unigram, beam=1e3) == exact


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_trie_is_the_model(order):
    """Scores along random word sequences are the model's own, to the last word's end."""
    ngram = estimate(SENTENCES, WORDS, order)
    draw = np.random.default_rng(0)
    trie = trie_of(ngram)
    assert trie_of(ngram) is trie
    for _ in range(50):
        history = ngram.start
        node = trie.start
        for w in [*draw.integers(1, len(WORDS), 6).tolist(), ngram.eos]:
            score, node = after(trie, node, w)
            assert score == pytest.approx(ngram.score(history, w), abs=1e-6)
            history = ngram.advance(history, w)


def test_equal_futures_are_one_history():
    """Histories on which no later score depends are one node, so that their tokens recombine."""
    trie = trie_of(TRIGRAM)
    nodes = set()
    histories = set()
    for first in range(1, len(WORDS)):
        for second in range(1, len(WORDS)):
            _, node = after(trie, 0, first)
            nodes.add(after(trie, node, second)[1])
            histories.add(TRIGRAM.advance(TRIGRAM.advance((), first), second))
    assert len(nodes) == len(histories)


def test_many_tokens_make_room():
    """A long dense lattice, whose tokens outgrow the first arrays, gives the path that a wide beam
    gives.
    """
    lattice = random_lattice(2, frames=200)
    four = estimate(SENTENCES, WORDS, 4)
    words, score = rescore(lattice, four, TASK.unigram, beam=np.inf)
    assert (words, score) == rescore(lattice, four, TASK.unigram, beam=60.0)
    assert len(words) > 10
