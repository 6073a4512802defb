"""Kneser-Ney estimation and back-off look-up against numbers made by hand and the formula written out."""

import math
import pickle
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.language.backoff import NGram
from workbench.language.ngram import estimate
from workbench.settings import UserError, rng

WORDS = ("<eps>", "a", "b", "c", "d")
texts = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "x", "y"]), max_size=6), min_size=1, max_size=12
)
orders = st.integers(1, 4)


def everyone(ngram):
    """All histories over a small vocabulary that are one longer than the model can use."""
    ids = range(1, len(ngram.words))
    found = [()]
    for _ in range(ngram.order):
        found += [(word, *history) for history in found for word in ids]
    return set(found)


def test_unigram_by_hand():
    """Modified Kneser-Ney discounts and the uniform distribution below them, as computed on paper."""
    # a b c and </s> once, d e twice, f three times, g four times: n1..n4 = 4, 2, 1, 1 and 15 tokens.
    # Y = 4 / (4 + 2*2) = 1/2, D1 = 1 - 2/2*2/4 = 1/2, D2 = 2 - 3/2*1/2 = 5/4, D3 = 3 - 4/2*1/1 = 1.
    # γ = (4*1/2 + 2*5/4 + 1 + 1) / 15 = 6.5 / 15, spread over 8 words and </s>.
    ngram = estimate([[*"abcddeefffgggg"]], ("<eps>", *"abcdefgh"), 1)
    p = np.exp(ngram.unigram())
    rest = 6.5 / 15 / 9
    by_hand = [
        0,
        *[0.5 / 15 + rest] * 3,
        *[0.75 / 15 + rest] * 2,
        2 / 15 + rest,
        3 / 15 + rest,
        rest,
        0.5 / 15 + rest,
        0,
    ]
    np.testing.assert_allclose(p, by_hand, rtol=1e-6)
    assert ngram.notes == () and len(p) == len(ngram.words) == 11


def test_bigram_by_hand():
    """Continuation counts below, absolute discounts where counts of counts have a gap."""
    # Bigrams <s>a 3, ab 2, ac 1, b</s> 2, c</s> 1: n1..n4 = 2, 2, 1, 0, so one discount, 2 / (2 + 2*2) = 1/3.
    # Different words before a, b, c: 1 each, before </s>: 2; n1..n2 = 3, 1, so 3 / (3 + 2*1) = 3/5 of 5 in all.
    # Unigrams: a = b = c = 0.4/5 + 4*0.6/5 * 1/5 = 0.176, </s> = 1.4/5 + 0.096 = 0.376, d = 0.096.
    # After a: γ = (1/3 + 1/3) / 3 = 2/9; b = (2 - 1/3)/3 + 2/9*0.176, c = (1 - 1/3)/3 + 2/9*0.176, d = 2/9*0.096.
    ngram = estimate([[*"ab"], [*"ab"], [*"ac"]], WORDS, 2)
    np.testing.assert_allclose(
        np.exp(ngram.unigram()), [0, 0.176, 0.176, 0.176, 0.096, 0.376, 0], rtol=1e-6
    )
    after_a = [
        2 / 9 * 0.176,
        5 / 9 + 2 / 9 * 0.176,
        2 / 9 + 2 / 9 * 0.176,
        2 / 9 * 0.096,
        2 / 9 * 0.376,
    ]
    np.testing.assert_allclose(
        [math.exp(ngram.score((1,), w)) for w in (1, 2, 3, 4, ngram.eos)], after_a, rtol=1e-6
    )
    assert [note.split(":")[0] for note in ngram.notes] == ["order 1", "order 2"]
    # p(a b </s>) = p(a|<s>) p(b|a) p(</s>|b) with p(a|<s>) = (8/3)/3 + 1/9*0.176, p(</s>|b) = (5/3)/2 + 1/6*0.376.
    p = (8 / 9 + 0.176 / 9) * after_a[1] * (5 / 6 + 0.376 / 6)
    assert ngram.perplexity([["a", "b"]]) == pytest.approx(p ** (-1 / 3), rel=1e-6)


def kneser_ney(sentences, words, order):
    """The formula of Chen and Goodman, by dictionaries and recursion: p(word, history) of tuples of strings."""
    words = [*words[1:], "</s>"]
    counts, left = defaultdict(Counter), defaultdict(lambda: defaultdict(set))
    for sentence in sentences:
        row = ["<s>", *(w if w in words else "?" for w in sentence), "</s>"]
        for n in range(1, order + 1):
            for i in range(n - 1, len(row)):
                gram = tuple(row[i - n + 1 : i + 1])
                counts[n][gram] += 1
                if i >= n:
                    left[n][gram].add(row[i - n])
    a = {}
    for n in range(1, order + 1):
        kept = [g for g in counts[n] if "?" not in g and g != ("<s>",)]
        a[n] = {g: counts[n][g] if n == order or g[0] == "<s>" else len(left[n][g]) for g in kept}

    def discount(n, count):
        n1, n2, n3, n4 = (sum(c == i for c in a[n].values()) for i in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2) if n1 + n2 else 0
        if n1 and n2 and n3 and n4:
            found = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            if min(found) > 0:
                return found[min(count, 3) - 1]
        return y if n1 and n2 else [0.5, 1.0, 1.5][min(count, 3) - 1]

    def p(word, history):
        n = len(history) + 1
        shorter = p(word, history[1:]) if history else 1 / len(words)
        after = {g: c for g, c in a[n].items() if g[:-1] == history}
        if not after:
            return shorter
        total, own = sum(after.values()), after.get((*history, word), 0)
        gamma = sum(discount(n, c) for c in after.values()) / total
        return (own - (discount(n, own) if own else 0)) / total + gamma * shorter

    return p


@given(texts, st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_estimate_is_the_formula(text, order):
    """Every probability equals the recursion of the paper, for seen and unseen histories, with unknown words about."""
    check_formula(text, order)


@pytest.mark.parametrize("order", [2, 3])
def test_estimate_is_the_formula_where_all_discounts_have_their_counts(order):
    """The same on a text large enough for three discounts of its own at the highest order."""
    r = rng(3, "text")
    ids = np.minimum(r.zipf(1.6, (300, 5)), 120)
    text = [
        [f"w{i}" for i in row[:end]]
        for row, end in zip(ids.tolist(), r.integers(1, 6, 300).tolist(), strict=True)
    ]
    words = ("<eps>", *(f"w{i}" for i in range(1, 110)))
    assert not any(note.startswith(f"order {order}") for note in estimate(text, words, order).notes)
    check_formula(text, order, words, ("w1", "w2", "w3"))


def check_formula(text, order, words=WORDS, some=("a", "b", "d")):
    """Compares the scores of all words after some histories."""
    ngram = estimate(text, words, order)
    p = kneser_ney(text, words, order)
    a, b, d = some
    histories = [()] if order == 1 else [(), ("<s>",), (a,)]
    histories += [("<s>", a), (a, b), (d, a)] if order == 3 else []
    ids = {w: i for i, w in enumerate(ngram.words)}
    for history in histories:
        for word in (*words[1:], "</s>"):
            score = ngram.score(tuple(ids[w] for w in history), ids[word])
            assert score == pytest.approx(math.log(p(word, history)), abs=1e-5)


@given(texts, orders)
@settings(max_examples=30, deadline=None)
def test_sums_to_one_after_every_history(text, order):
    """For every history, seen or not, the words and </s> share all of the mass, and each has some."""
    ngram = estimate(text, WORDS, order)
    for history in (
        everyone(ngram) if order < 4 else [(), ngram.start, (1, 2, 3), (ngram.bos, 1, 1)]
    ):
        log_p = ngram.distribution(history)
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
        assert np.isneginf(log_p[[0, ngram.bos]]).all() and np.isfinite(log_p[1:-1]).all()


@given(texts, st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_three_ways_of_looking_up_agree(text, order):
    """One score, the whole distribution, and scores after a remembered (shortened) history are the same numbers."""
    ngram = estimate(text, WORDS, order)
    for history in everyone(ngram):
        remembered = ()
        for word in history:
            remembered = ngram.advance(remembered, word)
        log_p = ngram.distribution(history)
        for word in range(1, ngram.bos):
            assert ngram.score(history, word) == pytest.approx(log_p[word], abs=1e-12)
            assert ngram.score(remembered, word) == pytest.approx(log_p[word], abs=1e-6)
        assert len(remembered) < order


def test_remembers_no_more_than_matters():
    """A history that the model has never continued is forgotten; an order-1 model remembers nothing."""
    ngram = estimate([[*"abc"]], WORDS, 3)
    assert ngram.start == (ngram.bos,)
    assert ngram.advance((1,), 2) == (1, 2)
    assert ngram.advance((2,), 1) == (1,)
    assert ngram.advance((1,), 4) == ()
    assert estimate([["a"]], WORDS, 1).start == ()


def test_unknown_words_end_the_context_and_are_counted():
    """No n-gram spans an unknown word, it is never predicted, and the notes say how many there were."""
    ngram = estimate([["a", "x", "b"], ["c"]], WORDS, 3)
    assert "1 tokens" in ngram.notes[0]
    assert ngram.advance((1,), 2) == (2,)  # "a b" was not seen
    assert ngram.score((1,), 2) == pytest.approx(ngram._row((1,))[0] + ngram.score((), 2))
    found = ngram.likelihood([["a", "x", "b"]])
    assert (found.tokens, found.unknown_tokens) == (3, 1)
    by_hand = ngram.score(ngram.start, 1) + ngram.score((), 2) + ngram.score((2,), ngram.eos)
    assert found.log_probability == pytest.approx(by_hand)


def test_better_on_what_it_was_made_of():
    """Perplexity falls with the order on text with structure, and is that of the uniform distribution on none."""
    text = [["a", "b", "c", "d"]] * 9 + [["b", "a"]]
    found = [estimate(text, WORDS, order).perplexity(text) for order in (1, 2, 3)]
    assert found[0] > found[1] > found[2] > 1
    assert math.isnan(estimate(text, WORDS, 2).perplexity([]))


def test_no_text_is_refused():
    """A model of nothing would be a silent uniform one; a vocabulary without <eps> is a mistake in the program."""
    with pytest.raises(UserError):
        estimate([], WORDS, 2)
    with pytest.raises(ValueError):
        estimate([["a"]], ("a",), 2)
    with pytest.raises(ValueError):
        estimate([["a"]], WORDS, 0)


def test_saved_and_sent(tmp_path):
    """A model survives its file and the way to another process, without the look-ups it has cached."""
    ngram = estimate([["a", "b"], ["x"]], WORDS, 3)
    ngram.score((1,), 2)
    ngram.save(tmp_path / "lm.npz")
    for again in (NGram.load(tmp_path / "lm.npz"), pickle.loads(pickle.dumps(ngram))):
        assert (
            again.words == ngram.words and again.notes == ngram.notes and "_rows" not in vars(again)
        )
        assert again.score((1,), 2) == ngram.score((1,), 2)


def test_as_large_as_the_paper():
    """100,000 sentences over 29,000 words make a trigram in seconds, and it sums to one wherever one looks."""
    r = rng(0, "large text")
    ids = (r.zipf(1.25, (100_000, 6)) - 1) % 29_000
    ends = r.integers(1, 7, len(ids)).tolist()
    names = [f"w{i}" for i in range(29_000)]
    text = [[names[i] for i in row[:end]] for row, end in zip(ids.tolist(), ends, strict=True)]
    began = time.process_time()
    ngram = estimate(text, ("<eps>", *names), 3)
    assert time.process_time() - began < 20
    some = [tuple(pair) for pair in r.integers(1, 29_001, (5, 2)).tolist()]
    for history in [(), ngram.start, (1, 1), (1, 2), (ngram.bos, 1), *some]:
        assert np.exp(ngram.distribution(history)).sum() == pytest.approx(1, abs=1e-6)
