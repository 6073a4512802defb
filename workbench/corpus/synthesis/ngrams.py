"""Counts of words, bigrams and trigrams as arrays, and which word may follow within a
vocabulary.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BOUNDARY = 0  # the word that stands for the sentence boundary


@dataclass(frozen=True)
class Counts:
    """A table of n-grams; word 0 is the sentence boundary.

    The bigrams that begin with word i are ``bigram_first[i] : bigram_first[i + 1]`` of
    ``bigram_word`` and ``bigram_count``, in increasing order of their second word. The trigrams
    that continue bigram p are ``trigram_first[p] : trigram_first[p + 1]``. A table without trigrams
    has only zeros in ``trigram_first``.
    """

    words: tuple[str, ...]
    count: np.ndarray  # int64 [words]
    bigram_first: np.ndarray  # int64 [words + 1]
    bigram_word: np.ndarray  # int32 [bigrams]
    bigram_count: np.ndarray  # int64 [bigrams]
    trigram_first: np.ndarray  # int64 [bigrams + 1]
    trigram_word: np.ndarray  # int32 [trigrams]
    trigram_count: np.ndarray  # int64 [trigrams]


class Follower(NamedTuple):
    """A word that was drawn, and the number of the bigram that ends in it, None if there is
    none.
    """

    word: int
    bigram: int | None


@dataclass(frozen=True)
class Followers:
    """Cumulated counts of the n-grams whose last word may follow, to draw from."""

    counts: Counts
    bigram_cumulated: np.ndarray  # int64 [bigrams + 1], counts of forbidden bigrams as 0
    trigram_cumulated: np.ndarray  # int64 [trigrams + 1], counts of forbidden trigrams as 0

    def draw(self, bigram: int | None, last: int, u: float) -> Follower | None:
        """Return the word at the share ``u`` of the counts, or None if nothing may follow.

        It follows the two words of ``bigram``, the number of the bigram that ends in ``last``.
        Without a bigram, or if no trigram continues it, it follows ``last`` alone.
        """
        counts = self.counts
        if bigram is not None:
            first = counts.trigram_first[bigram]
            end = counts.trigram_first[bigram + 1]
            trigram = _find_share(self.trigram_cumulated, first, end, u)
            if trigram is not None:
                word = int(counts.trigram_word[trigram])
                return Follower(word, self._find_bigram(last, word))

        first = counts.bigram_first[last]
        end = counts.bigram_first[last + 1]
        found = _find_share(self.bigram_cumulated, first, end, u)
        return None if found is None else Follower(int(counts.bigram_word[found]), found)

    def _find_bigram(self, first: int, second: int) -> int | None:
        """Return the number of the bigram, or None if the table does not have it."""
        start = self.counts.bigram_first[first]
        end = self.counts.bigram_first[first + 1]
        at = int(start + np.searchsorted(self.counts.bigram_word[start:end], second))
        return at if at < end and self.counts.bigram_word[at] == second else None


def find_followers(counts: Counts, vocabulary: Set[str], stops: Set[str]) -> Followers:
    """Return the n-grams whose last word is in ``stops`` or, in lower case, in ``vocabulary``."""
    allowed = (word.lower() in vocabulary or word in stops for word in counts.words)
    kept = np.fromiter(allowed, bool, len(counts.words))
    return Followers(
        counts,
        _cumulate(counts.bigram_count, kept[counts.bigram_word]),
        _cumulate(counts.trigram_count, kept[counts.trigram_word]),
    )


def _cumulate(count: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return int64 [n + 1], the sums of the first 0 .. n counts that are ``kept``."""
    sums = np.cumsum(np.where(kept, count, 0), dtype=np.int64)
    return np.concatenate(([0], sums))


def _find_share(cumulated: np.ndarray, first: int, end: int, u: float) -> int | None:
    """Return the entry of first .. end - 1 at the share ``u`` of their sum, None if it is 0."""
    low = cumulated[first]
    high = cumulated[end]
    if high <= low:
        return None
    sums = cumulated[first + 1 : end + 1]
    return int(first + np.searchsorted(sums, low + u * (high - low), side="right"))
