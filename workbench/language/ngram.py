"""Estimation of n-gram models by interpolated modified Kneser-Ney smoothing.

S. F. Chen and J. Goodman, *An empirical study of smoothing techniques for language modeling*,
TR-10-98, Harvard, 1998, section 3. With a(·) the count of an n-gram at the highest order or after
<s>, and otherwise the number of different words before it, and h' the history h without its oldest
word:

    p(w | h) = (a(h w) - D(a(h w))) / a(h ·)  +  γ(h) p(w | h'),      γ(h) = Σ_w D(a(h w)) / a(h ·)

The recursion ends in the uniform distribution over the vocabulary and </s>, so that every word has
mass. The discounts D(1), D(2), D(3 and more) of each order come from its counts of counts.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.language.backoff import BEGIN, END, Level, NGram
from workbench.settings import UserError

GUESSED = (0.5, 1.0, 1.5)  # discounts where counts of counts determine none


class _Ids(NamedTuple):
    """Ids of what is not a word of the lexicon; all words outside it have the largest, one id."""

    end: int
    begin: int
    unknown: int


@dataclass(frozen=True)
class _Grams:
    """The different n-grams of one length in a text, sorted by prefix, then last word.

    ``prefix``, ``suffix``: the index, among the shorter n-grams, of the n-gram without its last
    word and without its first. ``word``: the last word. ``oldest``: the first. ``count``: how
    often the n-gram occurs. All int64 [n-grams].
    """

    prefix: np.ndarray
    word: np.ndarray
    suffix: np.ndarray
    oldest: np.ndarray
    count: np.ndarray


class _Estimated(NamedTuple):
    """The n-grams of one length with their p, and γ of all shorter n-grams, their histories."""

    prefix: np.ndarray
    word: np.ndarray
    p: np.ndarray
    gamma: np.ndarray


class _Discounts(NamedTuple):
    """``by_count``: D(0), D(1), D(2), D(3 and more); ``note``: why they were guessed, if so."""

    by_count: np.ndarray
    note: str


def estimate(sentences: Iterable[Sequence[str]], words: Sequence[str], order: int = 3) -> NGram:
    """Return a model of ``order`` over a lexicon's ``words`` (words[0]: "<eps>").

    ``sentences``: sequences of words. Unknown words are never predicted, and no n-gram contains
    one except as its first word, where all of them are one word. The model's notes report unknown
    words and guessed discounts. Raises UserError if there is no sentence.
    """
    if order < 1 or not words or words[0] != "<eps>":
        raise ValueError(f"order {order} is below 1, or word 0 is not <eps>")
    ids = _Ids(end=len(words), begin=len(words) + 1, unknown=len(words) + 2)
    tokens = _tokenise(sentences, words, ids)
    if not len(tokens):
        raise UserError("a language model needs at least one sentence")

    skipped = np.count_nonzero(tokens == ids.unknown)
    notes = [f"{skipped} tokens of the text are not in the vocabulary"] if skipped else []
    number = np.arange(ids.unknown)
    lower = ((number > 0) & (number <= ids.end)) / ids.end  # the uniform distribution, for order 1

    histories = 1
    estimated: list[_Estimated] = []
    grams = _count_grams(tokens, order, ids)
    for length, these in enumerate(grams, 1):
        # N-grams that begin with an unknown word come last; they count, but are not kept.
        kept = int(np.searchsorted(these.oldest, ids.unknown))
        longer = grams[length] if length < order else None
        adjusted = _adjusted_counts(these, longer, ids)[:kept]
        discounts = _discounts(adjusted)
        if discounts.note:
            notes.append(f"order {length}: {discounts.note}")

        prefix = these.prefix[:kept]
        if length > 1:
            lower = estimated[-1].p[these.suffix[:kept]]
        p, gamma = _interpolate(adjusted, discounts.by_count, prefix, histories, lower)
        estimated.append(_Estimated(prefix, these.word[:kept], p, gamma))
        histories = kept

    return NGram((*words, END, BEGIN), _build_levels(estimated), tuple(notes))


def _tokenise(sentences: Iterable[Sequence[str]], words: Sequence[str], ids: _Ids) -> np.ndarray:
    """Return all sentences in one row of ids, int32, each between <s> and </s>."""
    id_of = {word: i for i, word in enumerate(words) if i}
    out = array("i")
    for sentence in sentences:
        out.append(ids.begin)
        out.extend([id_of.get(word, ids.unknown) for word in sentence])
        out.append(ids.end)
    return np.frombuffer(out, np.int32) if out else np.zeros(0, np.int32)


def _count_grams(tokens: np.ndarray, order: int, ids: _Ids) -> list[_Grams]:
    """Return the n-grams of each length up to ``order`` that lie within sentences.

    N-grams that have an unknown word, except as their first, are left out.
    """
    size = ids.unknown + 1
    number = np.arange(size)
    nothing = np.zeros(size, np.int64)
    count = np.bincount(tokens[tokens != ids.begin], minlength=size)
    out = [_Grams(nothing, number, nothing, number, count)]

    # ``gram``: the n-gram that ends at each token; ``valid``: whether there is one.
    gram = tokens.astype(np.int64)
    valid = np.ones(len(tokens), bool)
    can_extend = (tokens != ids.begin) & (tokens != ids.unknown)
    for _ in range(1, order):
        valid = can_extend & np.concatenate([[False], valid[:-1]])
        place = np.flatnonzero(valid)
        key, where, inverse, count = np.unique(
            gram[place - 1] * size + tokens[place],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        prefix = key // size
        suffix = gram[place[where]]
        out.append(_Grams(prefix, key % size, suffix, out[-1].oldest[prefix], count))
        gram = np.full(len(tokens), -1)
        gram[place] = inverse

    return out


def _adjusted_counts(grams: _Grams, longer: _Grams | None, ids: _Ids) -> np.ndarray:
    """Return a(·): how many different words occur before each n-gram.

    At the highest order (no ``longer`` n-grams) and after <s> it is the plain count.
    """
    if longer is None:
        return grams.count
    words_before = np.bincount(longer.suffix, minlength=len(grams.word))
    return np.where(grams.oldest == ids.begin, grams.count, words_before)


def _discounts(adjusted: np.ndarray) -> _Discounts:
    """Return the discounts of one order from its adjusted counts.

    D(i) = i - (i + 1) Y n(i+1) / n(i) with Y = n1 / (n1 + 2 n2), where n(i) n-grams have count i.
    Where that is impossible or not positive, Y serves for all, or `GUESSED` if there is no Y.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(adjusted == i)) for i in range(1, 5))
    if n1 and n2 and n3 and n4:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if min(found) > 0:
            return _Discounts(np.array([0, *found]), "")

    reason = f"counts of counts {n1}, {n2}, {n3}, {n4} do not determine the discounts"
    if n1 and n2:
        y = n1 / (n1 + 2 * n2)
        return _Discounts(np.array([0, y, y, y]), f"{reason}; one for all, {y:.3f}")
    guessed = ", ".join(str(discount) for discount in GUESSED)
    return _Discounts(np.array([0, *GUESSED]), f"{reason}; {guessed} instead")


def _interpolate(
    adjusted: np.ndarray,
    by_count: np.ndarray,
    prefix: np.ndarray,
    histories: int,
    lower: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return p of each n-gram, and γ of each history, 1 where nothing follows it.

    ``adjusted``, ``prefix`` and ``lower``, p of the n-gram without its oldest word, are
    [n-grams]; ``by_count``: D(0), D(1), D(2), D(3 and more).
    """
    discount = by_count[np.minimum(adjusted, 3)]
    total = np.bincount(prefix, adjusted, histories)
    discounted = np.bincount(prefix, discount, histories)
    gamma = np.divide(discounted, total, out=np.ones(histories), where=total > 0)
    return (adjusted - discount) / total[prefix] + gamma[prefix] * lower, gamma


def _build_levels(estimated: Sequence[_Estimated]) -> tuple[Level, ...]:
    """Return the levels of a model; γ of the histories of each length are back-off weights."""
    levels = []
    histories = 1
    for length, these in enumerate(estimated, 1):
        is_longest = length == len(estimated)
        backoff = np.zeros(len(these.p)) if is_longest else np.log(estimated[length].gamma)
        with np.errstate(divide="ignore"):  # <eps> and <s> are never predicted
            log_p = np.log(these.p)
        level = Level(
            first=np.searchsorted(these.prefix, np.arange(histories + 1)),
            word=these.word.astype(np.int32),
            log_p=log_p.astype(np.float32),
            backoff=backoff.astype(np.float32),
        )
        levels.append(level)
        histories = len(these.p)

    return tuple(levels)
