"""Counts of words, pairs and triples as arrays, and which word may follow within a vocabulary."""

from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BORDER = 0  # the word that stands for the border of a sentence


@dataclass(frozen=True)
class Counts:
    """A table of n-grams; word 0 is the border of a sentence.

    The pairs that begin with word i are ``pair_first[i] : pair_first[i + 1]`` of ``pair_word`` and
    ``pair_count``, in increasing order of their second word. The triples that continue pair p are
    ``triple_first[p] : triple_first[p + 1]``. A table without triples has only zeros in
    ``triple_first``.
    """

    words: tuple[str, ...]
    count: np.ndarray  # int64 [words]
    pair_first: np.ndarray  # int64 [words + 1]
    pair_word: np.ndarray  # int32 [pairs]
    pair_count: np.ndarray  # int64 [pairs]
    triple_first: np.ndarray  # int64 [pairs + 1]
    triple_word: np.ndarray  # int32 [triples]
    triple_count: np.ndarray  # int64 [triples]


class Follower(NamedTuple):
    """A word that was drawn, and the number of the pair that ends in it (None: not in the
    table).
    """

    word: int
    pair: int | None


@dataclass(frozen=True)
class Followers:
    """Cumulated counts of the n-grams whose last word may follow, to draw from."""

    counts: Counts
    pair_cumulated: np.ndarray  # int64 [pairs + 1], counts of forbidden pairs as 0
    triple_cumulated: np.ndarray  # int64 [triples + 1], counts of forbidden triples as 0

    def draw(self, pair: int | None, last: int, u: float) -> Follower | None:
        """Return the word at the share ``u`` of the counts, or None if nothing may follow.

        It follows the two words of ``pair``, the number of the pair that ends in ``last``. Without
        a pair, or if no triple continues it, it follows ``last`` alone.
        """
        counts = self.counts
        if pair is not None:
            first = counts.triple_first[pair]
            end = counts.triple_first[pair + 1]
            triple = _find_share(self.triple_cumulated, first, end, u)
            if triple is not None:
                word = int(counts.triple_word[triple])
                return Follower(word, self._find_pair(last, word))

        first = counts.pair_first[last]
        end = counts.pair_first[last + 1]
        found = _find_share(self.pair_cumulated, first, end, u)
        return None if found is None else Follower(int(counts.pair_word[found]), found)

    def _find_pair(self, first: int, second: int) -> int | None:
        """Return the number of the pair, or None if the table does not have it."""
        start = self.counts.pair_first[first]
        end = self.counts.pair_first[first + 1]
        at = int(start + np.searchsorted(self.counts.pair_word[start:end], second))
        return at if at < end and self.counts.pair_word[at] == second else None


def find_followers(counts: Counts, vocabulary: Set[str], stops: Set[str]) -> Followers:
    """Return the n-grams whose last word is in ``stops``, or in ``vocabulary`` when in lower
    case.
    """
    allowed = (word.lower() in vocabulary or word in stops for word in counts.words)
    kept = np.fromiter(allowed, bool, len(counts.words))
    return Followers(
        counts,
        _cumulate(counts.pair_count, kept[counts.pair_word]),
        _cumulate(counts.triple_count, kept[counts.triple_word]),
    )


def _cumulate(count: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return int64 [n + 1], the sums of the first 0 .. n of ``count``, without those not
    ``kept``.
    """
    sums = np.cumsum(np.where(kept, count, 0), dtype=np.int64)
    return np.concatenate(([0], sums))


def _find_share(cumulated: np.ndarray, first: int, end: int, u: float) -> int | None:
    """Return the entry of first .. end - 1 at the share ``u`` of their sum; None if that sum is
    0.
    """
    low = cumulated[first]
    high = cumulated[end]
    if high <= low:
        return None
    sums = cumulated[first + 1 : end + 1]
    return int(first + np.searchsorted(sums, low + u * (high - low), side="right"))
