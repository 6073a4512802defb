"""Rescoring against every path of tiny tasks, with the unigram taken off and the other model put on by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import every_path, log_softmax, tiny_task

from workbench.language.backoff import Level, NGram
from workbench.language.ngram import estimate
from workbench.language.trie import after, trie_of
from workbench.sequence.lattice import NoPath
from workbench.sequence.occupancy import best_path
from workbench.sequence.rescore import rescore
from workbench.sequence.search import search

TASK = tiny_task(1)
WORDS = TASK.lexicon.words
SENTENCES = [
    s.split() for s in ("a ab ba", "ba a a", "bah ab", "a", "ab ba a", "ba bah", "ba ba a", "a ab")
]
TRIGRAM = estimate(SENTENCES, WORDS, 3)


def random_scores(seed, frames):
    return log_softmax(
        np.random.default_rng(seed).normal(0, 1.5, (frames, TASK.states.count))
    ).astype(np.float32)


def case(seed, frames=9, width=1e9):
    scores = random_scores(seed, frames)
    return every_path(TASK.denominator, scores), search(
        TASK.denominator, scores, np.inf, width, 10**6
    )


def exchanged(words, ngram, scale, insertion):
    """What changing the language model adds to a path that says ``words``."""
    history, added = ngram.start, 0.0
    for w in (*words, ngram.eos):
        added += scale * ngram.score(history, w) - TASK.unigram[w] + insertion * (w != ngram.eos)
        history = ngram.advance(history, w)
    return added


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10**4),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([-1.0, 0.0, 0.5]),
    st.integers(1, 3),
)
def test_rescoring_is_exact(seed, scale, insertion, order):
    """Words and score are those of the best of all paths, scored anew one by one."""
    ngram = estimate(SENTENCES, WORDS, order)
    paths, lattice = case(seed)
    anew = [
        s + exchanged(w, ngram, scale, insertion)
        for s, w in zip(paths.score, paths.words, strict=True)
    ]
    words, score = rescore(lattice, ngram, TASK.unigram, scale, insertion, np.inf)
    assert score == pytest.approx(max(anew), abs=1e-5)
    assert words == paths.words[int(np.argmax(anew))]


def test_unigram_for_itself_changes_nothing():
    """Exchanging the unigram for the same unigram leaves the best path and its score."""
    own = np.asarray(TASK.unigram, np.float32)
    level = Level(
        np.array([0, len(own)]), np.arange(len(own), dtype=np.int32), own, np.zeros_like(own)
    )
    same = NGram((*WORDS, "</s>", "<s>"), (level,))
    for seed in range(5):
        _, lattice = case(seed, width=4.0)
        words, score = rescore(lattice, same, TASK.unigram)
        assert words == best_path(lattice)[0]
        assert score == pytest.approx(lattice.best, abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**4), st.floats(0.5, 30))
def test_a_beam_only_loses(seed, beam):
    """A narrow beam never finds a better path; one that prunes nothing finds the best."""
    _, lattice = case(seed)
    exact = rescore(lattice, TRIGRAM, TASK.unigram, beam=np.inf)
    try:
        assert rescore(lattice, TRIGRAM, TASK.unigram, beam=beam)[1] <= exact[1] + 1e-9
    except NoPath:
        assert beam < 30
    assert rescore(lattice, TRIGRAM, TASK.unigram, beam=1e3) == exact


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_trie_is_the_model(order):
    """Scores along random word sequences are the model's own, to the last word's end."""
    ngram, draw = estimate(SENTENCES, WORDS, order), np.random.default_rng(0)
    trie = trie_of(ngram)
    arrays = trie.head, trie.word, trie.log_p, trie.backoff, trie.suffix, trie.history
    assert trie_of(ngram) is trie
    for _ in range(50):
        history, node = ngram.start, trie.start
        for w in [*draw.integers(1, len(WORDS), 6).tolist(), ngram.eos]:
            score, node = after(*arrays, node, w)
            assert score == pytest.approx(ngram.score(history, w), abs=1e-6)
            history = ngram.advance(history, w)


def test_equal_futures_are_one_history():
    """Histories on which no later score depends are the same node, so that their tokens recombine."""
    trie = trie_of(TRIGRAM)
    arrays = trie.head, trie.word, trie.log_p, trie.backoff, trie.suffix, trie.history
    nodes, histories = set(), set()
    for first in range(1, len(WORDS)):
        for second in range(1, len(WORDS)):
            nodes.add(after(*arrays, after(*arrays, 0, first)[1], second)[1])
            histories.add(TRIGRAM.advance(TRIGRAM.advance((), first), second))
    assert len(nodes) == len(histories)


def test_many_tokens_make_room():
    """A long dense lattice, whose tokens outgrow the first arrays, still gives the path that a wide beam gives."""
    lattice = search(TASK.denominator, random_scores(2, 200), np.inf, 1e9, 10**6)
    four = estimate(SENTENCES, WORDS, 4)
    words, score = rescore(lattice, four, TASK.unigram, beam=np.inf)
    assert (words, score) == rescore(lattice, four, TASK.unigram, beam=60.0)
    assert len(words) > 10
