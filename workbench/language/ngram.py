"""Estimation of n-gram models: interpolated modified Kneser-Ney smoothing.

S. F. Chen and J. Goodman, *An empirical study of smoothing techniques for language modeling*, TR-10-98, Harvard, 1998,
section 3. With a(·) the count of an n-gram at the highest order or after <s>, and otherwise the number of different
words before it, and h' the history h without its oldest word:

    p(w | h) = (a(h w) - D(a(h w))) / a(h ·)  +  γ(h) p(w | h'),      γ(h) = Σ_w D(a(h w)) / a(h ·)

The recursion ends in the uniform distribution over the vocabulary and </s>, so that every word has mass. The discounts
D(1), D(2), D(3 and more) of each order come from its counts of counts.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.language.backoff import BEGIN, END, Level, NGram
from workbench.settings import UserError

__all__ = ["NGram", "estimate"]

GUESSED = (0.5, 1.0, 1.5)  # discounts where counts of counts say nothing


@dataclass(frozen=True)
class _Grams:
    """The different n-grams of one length, ordered by prefix, then last word.

    ``prefix``, ``suffix``: where the n-gram without its last or its first word stands among the shorter ones.
    """

    prefix: np.ndarray
    word: np.ndarray
    suffix: np.ndarray
    oldest: np.ndarray
    count: np.ndarray


def estimate(sentences: Iterable[Sequence[str]], words: Sequence[str], order: int = 3) -> NGram:
    """A model of ``order`` over a lexicon's ``words`` (words[0]: "<eps>"), from sentences of words.

    Unknown words are never predicted and end the context; to their right neighbour they are all one word. UserError if
    there is no sentence. What was unknown, and where discounts had to be guessed, stands in the model's notes.
    """
    if order < 1 or not words or words[0] != "<eps>":
        raise ValueError(f"order {order} is below 1, or word 0 is not <eps>")
    end, begin, unknown = len(words), len(words) + 1, len(words) + 2
    tokens = _tokens(sentences, words)
    if not len(tokens):
        raise UserError("a language model needs at least one sentence")
    skipped = np.count_nonzero(tokens == unknown)
    notes = [f"{skipped} tokens of the text are not in the vocabulary"] if skipped else []
    numbers = np.arange(unknown)
    p = ((numbers > 0) & (numbers <= end)) / end  # the uniform distribution, below order 1
    histories, parts = 1, []
    grams = _grams(tokens, order, begin, unknown)
    for n, these in enumerate(grams, 1):
        kept = int(
            np.searchsorted(these.oldest, unknown)
        )  # n-grams that start with an unknown word come last
        prefix, suffix = these.prefix[:kept], these.suffix[:kept]
        a = _adjusted(these, grams[n] if n < order else None, begin)[:kept]
        discounts, note = _discounts(a)
        notes += [f"order {n}: {note}"] if note else []
        p, gamma = _interpolate(a, discounts, prefix, histories, p if n == 1 else p[suffix])
        parts.append((prefix, these.word[:kept], p, gamma))
        histories = kept
    return NGram((*words, END, BEGIN), _levels(parts), tuple(notes))


def _tokens(sentences: Iterable[Sequence[str]], words: Sequence[str]) -> np.ndarray:
    """All sentences in one row of ids, each between <s> and </s>; unknown words have the largest id."""
    end, begin, unknown = len(words), len(words) + 1, len(words) + 2
    ids = {word: i for i, word in enumerate(words) if i}
    out = array("i")
    for sentence in sentences:
        out.append(begin)
        out.extend([ids.get(word, unknown) for word in sentence])
        out.append(end)
    return np.frombuffer(out, np.int32) if out else np.zeros(0, np.int32)


def _grams(tokens: np.ndarray, order: int, begin: int, unknown: int) -> list[_Grams]:
    """The n-grams of each length, within sentences, that have no unknown word except as their first."""
    size = unknown + 1
    ids, none = np.arange(size), np.zeros(size, np.int64)
    out = [_Grams(none, ids, none, ids, np.bincount(tokens[tokens != begin], minlength=size))]
    sayable = (tokens != begin) & (tokens != unknown)
    at, valid = (
        tokens.astype(np.int64),
        np.ones(len(tokens), bool),
    )  # the n-gram that ends here, and whether there is one
    for _ in range(1, order):
        valid = sayable & np.concatenate([[False], valid[:-1]])
        (place,) = np.nonzero(valid)
        key, where, inverse, count = np.unique(
            at[place - 1] * size + tokens[place],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        prefix, word = key // size, key % size
        out.append(_Grams(prefix, word, at[place[where]], out[-1].oldest[prefix], count))
        at = np.full(len(tokens), -1)
        at[place] = inverse
    return out


def _adjusted(grams: _Grams, longer: _Grams | None, begin: int) -> np.ndarray:
    """a(·): different words before an n-gram; plain counts at the highest order and after <s>."""
    if longer is None:
        return grams.count
    return np.where(
        grams.oldest == begin, grams.count, np.bincount(longer.suffix, minlength=len(grams.word))
    )


def _discounts(a: np.ndarray) -> tuple[np.ndarray, str]:
    """D(0..3), and why they were guessed, if they were: D(i) = i - (i + 1) Y n(i+1) / n(i), Y = n1 / (n1 + 2 n2)."""
    n1, n2, n3, n4 = (int(np.count_nonzero(a == i)) for i in range(1, 5))
    if n1 and n2 and n3 and n4:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if min(found) > 0:
            return np.array([0, *found]), ""
    reason = f"counts of counts {n1}, {n2}, {n3}, {n4} give no discounts of their own"
    if n1 and n2:
        return np.array(
            [0, *[n1 / (n1 + 2 * n2)] * 3]
        ), f"{reason}; one for all, {n1 / (n1 + 2 * n2):.3f}"
    return np.array([0, *GUESSED]), f"{reason}; {', '.join(map(str, GUESSED))} instead"


def _interpolate(
    a: np.ndarray, discounts: np.ndarray, prefix: np.ndarray, histories: int, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """p of each n-gram, γ of each history (1 if unseen), from the n-grams' p in the ``lower`` order."""
    D = discounts[np.minimum(a, 3)]
    total = np.bincount(prefix, a, histories)
    gamma = np.divide(
        np.bincount(prefix, D, histories), total, out=np.ones(histories), where=total > 0
    )
    return (a - D) / total[prefix] + gamma[prefix] * lower, gamma


def _levels(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
) -> tuple[Level, ...]:
    """The model's arrays from prefixes, words, p, and γ of the prefixes of each length."""
    out, histories = [], 1
    for (prefix, word, p, _), longer in zip(parts, [*parts[1:], None], strict=True):
        backoff = np.zeros(len(p)) if longer is None else np.log(longer[3])
        with np.errstate(divide="ignore"):  # <eps> and <s> are never predicted
            log_p = np.log(p)
        first = np.searchsorted(prefix, np.arange(histories + 1))
        out.append(
            Level(
                first, word.astype(np.int32), log_p.astype(np.float32), backoff.astype(np.float32)
            )
        )
        histories = len(p)
    return tuple(out)
