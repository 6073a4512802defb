"""Counts of words, pairs and triples as arrays, and what may follow what among the words of one vocabulary."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """An n-gram table: word 0 is the border of a sentence.

    The pairs that begin with word i are ``pair_first[i] : pair_first[i + 1]`` of ``pair_word`` and ``pair_count``, in
    increasing order of their second word; the triples that continue pair p are ``triple_first[p] : triple_first[p +
    1]``. A table without triples has an all-zero ``triple_first``.
    """

    words: tuple[str, ...]
    count: np.ndarray  # int64 [words]
    pair_first: np.ndarray  # int64 [words + 1]
    pair_word: np.ndarray  # int32 [pairs]
    pair_count: np.ndarray  # int64 [pairs]
    triple_first: np.ndarray  # int64 [pairs + 1]
    triple_word: np.ndarray  # int32 [triples]
    triple_count: np.ndarray  # int64 [triples]


@dataclass(frozen=True)
class Followers:
    """Which words may follow, with cumulated counts for drawing, among a vocabulary and the marks that end a walk."""

    counts: Counts
    pair_cumulated: np.ndarray  # int64 [pairs + 1]: of the kept pairs only
    triple_cumulated: np.ndarray  # int64 [triples + 1]

    def draw(self, pair: int | None, last: int, u: float) -> tuple[int, int | None] | None:
        """(word, number of its pair with ``last``) after the two words of ``pair``, or after ``last`` alone; None if
        nothing follows.

        ``pair`` is what the draw before returned: the number of the pair that ends in ``last``, None if the table has
        none.
        """
        c = self.counts
        if pair is not None:
            at = _at(self.triple_cumulated, c.triple_first[pair], c.triple_first[pair + 1], u)
            if at is not None:
                word = int(c.triple_word[at])
                return word, self._pair(last, word)
        at = _at(self.pair_cumulated, c.pair_first[last], c.pair_first[last + 1], u)
        return None if at is None else (int(c.pair_word[at]), at)

    def _pair(self, first: int, second: int) -> int | None:
        a, b = self.counts.pair_first[first], self.counts.pair_first[first + 1]
        at = int(a + np.searchsorted(self.counts.pair_word[a:b], second))
        return at if at < b and self.counts.pair_word[at] == second else None


def followers(counts: Counts, vocabulary: set[str], stops: frozenset[str]) -> Followers:
    """The n-grams of ``counts`` whose last word is in ``vocabulary`` when written small, or one of ``stops``."""
    kept = np.fromiter(
        (w.lower() in vocabulary or w in stops for w in counts.words), bool, len(counts.words)
    )

    def cumulated(count, word):
        return np.concatenate(([0], np.cumsum(np.where(kept[word], count, 0), dtype=np.int64)))

    pairs, triples = (
        cumulated(counts.pair_count, counts.pair_word),
        cumulated(counts.triple_count, counts.triple_word),
    )
    return Followers(counts, pairs, triples)


def _at(cumulated: np.ndarray, a: int, b: int, u: float) -> int | None:
    """The entry of a:b in which the share ``u`` of its total count lies; None if that total is 0."""
    low, high = cumulated[a], cumulated[b]
    if high <= low:
        return None
    return int(a + np.searchsorted(cumulated[a + 1 : b + 1], low + u * (high - low), side="right"))
