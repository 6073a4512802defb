"""Kneser-Ney estimation and back-off look-up, against numbers made by hand and the formula."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language.ngram import estimate
from workbench.settings import UserError, rng

WORDS = ("<eps>", "a", "b", "c", "d")
texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "x", "y"]), max_size=6), min_size=1, max_size=12
)
orders = st.integers(1, 4)


def all_histories(ngram):
    """All histories over a small vocabulary, up to one word longer than the model can use."""
    ids = range(1, len(ngram.words))
    found = [()]
    for _ in range(ngram.order):
        found += [(word, *history) for history in found for word in ids]
    return set(found)


def distribution(ngram, history):
    """Oracle: log p of every word after a history, float64 [words], level by level of the model."""
    out = ngram.unigram().astype(np.float64)
    for length in range(1, min(len(history), ngram.order - 1) + 1):
        node = index_of(ngram, history[-length:])
        if node is not None:
            out += ngram.levels[length - 1].backoff[node]
            level = ngram.levels[length]
            listed = slice(level.first[node], level.first[node + 1])
            out[level.word[listed]] = level.log_p[listed]
    return out


def index_of(ngram, gram):
    """The index of an n-gram in its level, found by looking through all that share its prefix."""
    node = 0
    for level, word in zip(ngram.levels, gram, strict=False):
        listed = range(level.first[node], level.first[node + 1])
        places = [i for i in listed if level.word[i] == word]
        if not places:
            return None
        node = places[0]
    return node


def sentence_score(ngram, sentence):
    """Log p of a sentence and its end; unknown words are left out and forgotten as history."""
    ids = {word: i for i, word in enumerate(ngram.words)}
    history = ngram.start
    total = 0.0
    for word in [*sentence, "</s>"]:
        if word in ids:
            total += ngram.score(history, ids[word])
            history = ngram.advance(history, ids[word])
        else:
            history = ()
    return total


def test_unigram_by_hand():
    """Discounts and the uniform distribution below them are as computed on paper."""
    # a b c and </s> once, d e twice, f three times, g four times: n1..n4 = 4, 2, 1, 1; 15 tokens.
    # Y = 4 / (4 + 2*2) = 1/2, D1 = 1 - 2/2*2/4 = 1/2, D2 = 2 - 3/2*1/2 = 5/4, D3 = 3 - 4/2*1/1 = 1.
    # γ = (4*1/2 + 2*5/4 + 1 + 1) / 15 = 6.5 / 15, spread over 8 words and </s>.
    ngram = estimate([[*"abcddeefffgggg"]], ("<eps>", *"abcdefgh"), 1)
    rest = 6.5 / 15 / 9
    once = 0.5 / 15 + rest
    twice = 0.75 / 15 + rest
    by_hand = [0, once, once, once, twice, twice, 2 / 15 + rest, 3 / 15 + rest, rest, once, 0]
    np.testing.assert_allclose(np.exp(ngram.unigram()), by_hand, rtol=1e-6)
    assert ngram.notes == ()
    assert len(ngram.words) == 11


def test_bigram_by_hand():
    """Continuation counts below, absolute discounts where counts of counts have a gap."""
    # Bigrams <s>a 3, ab 2, ac 1, b</s> 2, c</s> 1: n1..n4 = 2, 2, 1, 0, so one discount for all,
    # 2 / (2 + 2*2) = 1/3.
    # Different words before a, b, c: 1 each, before </s>: 2; n1..n2 = 3, 1, so 3 / (3 + 2*1) = 3/5
    # of 5 in all.
    # Unigrams: a = b = c = 0.4/5 + 4*0.6/5 * 1/5 = 0.176, </s> = 1.4/5 + 0.096 = 0.376, d = 0.096.
    # After a: γ = (1/3 + 1/3) / 3 = 2/9; b = (2 - 1/3)/3 + 2/9*0.176,
    # c = (1 - 1/3)/3 + 2/9*0.176, d = 2/9*0.096.
    ngram = estimate([[*"ab"], [*"ab"], [*"ac"]], WORDS, 2)
    unigram = [0, 0.176, 0.176, 0.176, 0.096, 0.376, 0]
    np.testing.assert_allclose(np.exp(ngram.unigram()), unigram, rtol=1e-6)

    gamma = 2 / 9
    after_a = [
        gamma * 0.176,
        5 / 9 + gamma * 0.176,
        2 / 9 + gamma * 0.176,
        gamma * 0.096,
        gamma * 0.376,
    ]
    found = [math.exp(ngram.score((1,), word)) for word in (1, 2, 3, 4, ngram.eos)]
    np.testing.assert_allclose(found, after_a, rtol=1e-6)
    assert [note.split(":")[0] for note in ngram.notes] == ["order 1", "order 2"]

    # p(a b </s>) = p(a|<s>) p(b|a) p(</s>|b) with
    # p(a|<s>) = (8/3)/3 + 1/9*0.176, p(</s>|b) = (5/3)/2 + 1/6*0.376.
    p = (8 / 9 + 0.176 / 9) * after_a[1] * (5 / 6 + 0.376 / 6)
    assert sentence_score(ngram, ["a", "b"]) == pytest.approx(math.log(p), rel=1e-6)


class KneserNey:
    """Oracle: the formula of Chen and Goodman by dictionaries and recursion over tuples."""

    def __init__(self, sentences, words, order):
        self.words = [*words[1:], "</s>"]
        counts = defaultdict(Counter)
        words_before = defaultdict(lambda: defaultdict(set))
        for sentence in sentences:
            row = ["<s>", *(w if w in self.words else "?" for w in sentence), "</s>"]
            for n in range(1, order + 1):
                for i in range(n - 1, len(row)):
                    gram = tuple(row[i - n + 1 : i + 1])
                    counts[n][gram] += 1
                    if i >= n:
                        words_before[n][gram].add(row[i - n])

        self.adjusted = {}
        for n in range(1, order + 1):
            self.adjusted[n] = {
                gram: count if n == order or gram[0] == "<s>" else len(words_before[n][gram])
                for gram, count in counts[n].items()
                if "?" not in gram and gram != ("<s>",)
            }

    def discount(self, n, count):
        n1, n2, n3, n4 = (sum(c == i for c in self.adjusted[n].values()) for i in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2) if n1 + n2 else 0
        if n1 and n2 and n3 and n4:
            found = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            if min(found) > 0:
                return found[min(count, 3) - 1]
        return y if n1 and n2 else [0.5, 1.0, 1.5][min(count, 3) - 1]

    def p(self, word, history):
        n = len(history) + 1
        shorter = self.p(word, history[1:]) if history else 1 / len(self.words)
        after = {gram: c for gram, c in self.adjusted[n].items() if gram[:-1] == history}
        if not after:
            return shorter
        total = sum(after.values())
        gamma = sum(self.discount(n, c) for c in after.values()) / total
        own = after.get((*history, word), 0)
        discounted = own - self.discount(n, own) if own else 0
        return discounted / total + gamma * shorter


@given(texts, st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_estimate_is_the_formula(text, order):
    """Every probability equals the paper's recursion, seen or not, with unknown words about."""
    check_formula(text, order)


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 3])
def test_estimate_is_the_formula_where_all_discounts_have_their_counts(order):
    """The same on a text large enough to determine all discounts of the highest order."""
    r = rng(3, "text")
    ids = np.minimum(r.zipf(1.6, (300, 5)), 120).tolist()
    lengths = r.integers(1, 6, 300).tolist()
    text = [[f"w{i}" for i in row[:length]] for row, length in zip(ids, lengths, strict=True)]
    words = ("<eps>", *(f"w{i}" for i in range(1, 110)))
    notes = estimate(text, words, order).notes
    assert not any(note.startswith(f"order {order}") for note in notes)
    check_formula(text, order, words, ("w1", "w2", "w3"))


def check_formula(text, order, words=WORDS, some=("a", "b", "d")):
    """Compare the scores of all words after some histories with the oracle."""
    ngram = estimate(text, words, order)
    oracle = KneserNey(text, words, order)
    a, b, d = some
    histories = [()]
    if order > 1:
        histories += [("<s>",), (a,)]
    if order > 2:
        histories += [("<s>", a), (a, b), (d, a)]
    ids = {word: i for i, word in enumerate(ngram.words)}
    for history in histories:
        for word in (*words[1:], "</s>"):
            score = ngram.score(tuple(ids[w] for w in history), ids[word])
            assert score == pytest.approx(math.log(oracle.p(word, history)), abs=1e-5)


@given(texts, orders)
@settings(max_examples=30, deadline=None)
def test_sums_to_one_after_every_history(text, order):
    """After every history, seen or not, the words and </s> share all mass, and each has some."""
    ngram = estimate(text, WORDS, order)
    some = [(), ngram.start, (1, 2, 3), (ngram.bos, 1, 1)]
    for history in all_histories(ngram) if order < 4 else some:
        log_p = distribution(ngram, history)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
        assert np.isneginf(log_p[[0, ngram.bos]]).all()
        assert np.isfinite(log_p[1:-1]).all()


@given(texts, st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_three_ways_of_looking_up_agree(text, order):
    """A score, the whole distribution, and the score after a shortened history are equal."""
    ngram = estimate(text, WORDS, order)
    for history in all_histories(ngram):
        remembered = ()
        for word in history:
            remembered = ngram.advance(remembered, word)
        log_p = distribution(ngram, history)
        for word in range(1, ngram.bos):
            assert ngram.score(history, word) == pytest.approx(log_p[word], abs=1e-12)
            assert ngram.score(remembered, word) == pytest.approx(log_p[word], abs=1e-6)
        assert len(remembered) < order


def test_remembers_no_more_than_matters():
    """A history that the model never continues is forgotten; order 1 remembers nothing."""
    ngram = estimate([[*"abc"]], WORDS, 3)
    assert ngram.start == (ngram.bos,)
    assert ngram.advance((1,), 2) == (1, 2)
    assert ngram.advance((2,), 1) == (1,)
    assert ngram.advance((1,), 4) == ()
    assert estimate([["a"]], WORDS, 1).start == ()


def test_unknown_words_end_the_context_and_are_counted():
    """No n-gram spans an unknown word, it is never predicted, and the notes count them."""
    ngram = estimate([["a", "x", "b"], ["c"]], WORDS, 3)
    assert "1 tokens" in ngram.notes[0]
    assert ngram.advance((1,), 2) == (2,)  # "a b" was not seen
    backoff = ngram.continuations((1,)).backoff
    assert ngram.score((1,), 2) == pytest.approx(backoff + ngram.score((), 2))


def test_an_empty_history_has_no_continuations():
    """Everything is listed without history, so asking for a back-off weight is an error."""
    with pytest.raises(ValueError, match="empty"):
        estimate([["a"]], WORDS, 2).continuations(())


def test_better_on_what_it_was_made_of():
    """On text with structure, the log probability of the text rises with the order."""
    text = [["a", "b", "c", "d"]] * 9 + [["b", "a"]]
    tokens = sum(len(sentence) + 1 for sentence in text)
    found = []
    for order in (1, 2, 3):
        ngram = estimate(text, WORDS, order)
        total = sum(sentence_score(ngram, sentence) for sentence in text)
        found.append(math.exp(-total / tokens))
    assert found[0] > found[1] > found[2] > 1


def test_no_text_is_refused():
    """No sentence is a UserError; a vocabulary without <eps> and order 0 are ValueErrors."""
    with pytest.raises(UserError):
        estimate([], WORDS, 2)
    with pytest.raises(ValueError):
        estimate([["a"]], ("a",), 2)
    with pytest.raises(ValueError):
        estimate([["a"]], WORDS, 0)


@pytest.mark.slow
def test_as_large_as_the_paper():
    """A trigram of 100,000 sentences over 29,000 words sums to one after every history tried."""
    r = rng(0, "large text")
    ids = ((r.zipf(1.25, (100_000, 6)) - 1) % 29_000).tolist()
    lengths = r.integers(1, 7, len(ids)).tolist()
    names = [f"w{i}" for i in range(29_000)]
    text = [[names[i] for i in row[:length]] for row, length in zip(ids, lengths, strict=True)]
    ngram = estimate(text, ("<eps>", *names), 3)
    some = [tuple(pair) for pair in r.integers(1, 29_001, (5, 2)).tolist()]
    for history in [(), ngram.start, (1, 1), (1, 2), (ngram.bos, 1), *some]:
        assert np.exp(distribution(ngram, history)).sum() == pytest.approx(1, abs=1e-6)
