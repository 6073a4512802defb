"""Back-off n-gram models, kept as a trie of sorted arrays.

    log p(w | h) = log_p(h w)                                       if the model lists h w,
                   backoff(h) + log p(w | h without its oldest word)            otherwise

Word ids are the lexicon's, followed by the end </s> and the beginning <s> of a sentence. A history
is a tuple of word ids, oldest first; a sentence begins with ``start``. All probabilities are
natural logarithms; <eps> and <s>, which are never predicted, have -inf.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

END = "</s>"
BEGIN = "<s>"
History = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Level:
    """All n-grams of one length, sorted by their prefixes, then by their last words.

    ``first``: int64 [shorter n-grams + 1], where the n-grams that continue each shorter one begin.
    ``word``: int32 [n-grams], the last words. ``log_p``, ``backoff``: float32 [n-grams].
    """

    first: np.ndarray
    word: np.ndarray
    log_p: np.ndarray
    backoff: np.ndarray


class Continuations(NamedTuple):
    """What a model lists after a history: its back-off weight, and log p of the listed words."""

    backoff: float
    log_p: dict[int, float]


@dataclass(frozen=True, eq=False)
class NGram:
    """A back-off model over ``words``: a lexicon's, then "</s>" and "<s>".

    ``levels[n - 1]`` holds the n-grams of length n; ``levels[0]`` has an entry for every word id.
    ``notes`` are remarks for the user on how the model was made. Do not write to the arrays.
    """

    words: tuple[str, ...]
    levels: tuple[Level, ...]
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.levels)

    @property
    def eos(self) -> int:
        """Id of the end of a sentence, which is predicted like a word."""
        return len(self.words) - 2

    @property
    def bos(self) -> int:
        """Id of the beginning of a sentence, which occurs in histories only."""
        return len(self.words) - 1

    @property
    def start(self) -> History:
        """The history at the beginning of a sentence."""
        return self.advance((), self.bos)

    def score(self, history: History, word: int) -> float:
        """Return log p(word | history); words that lie too far back have no effect."""
        total = 0.0
        history = self._newest(history)
        while history:
            listed = self.continuations(history)
            if listed is not None:
                if word in listed.log_p:
                    return total + listed.log_p[word]
                total += listed.backoff
            history = history[1:]

        return total + self._unigram_list[word]

    def advance(self, history: History, word: int) -> History:
        """Return the history after ``word``: the longest suffix that can change a later score."""
        history = self._newest((*history, word))
        while history:
            listed = self.continuations(history)
            if listed is not None and (listed.backoff != 0 or listed.log_p):
                break
            history = history[1:]
        return history

    def _newest(self, history: History) -> History:
        """Return the words of a history that the longest n-grams can reach."""
        return history[-(self.order - 1) :] if self.order > 1 else ()

    def unigram(self) -> np.ndarray:
        """Return log p of every word without history: float32 [words].

        In an estimated model of higher order these probabilities come from numbers of contexts,
        not of tokens (Kneser-Ney). For a unigram language model estimate a model of order 1.
        """
        return self.levels[0].log_p

    def continuations(self, history: History) -> Continuations | None:
        """Return what the model lists after a history that is shorter than the longest n-grams.

        None if the model does not know the history; ValueError if the history is empty, as
        everything is listed after it (see ``unigram``). Results are kept, because a search asks
        for the same histories again and again.
        """
        known = self._continuations.get(history)
        if known is not None:
            return known
        if not history:
            raise ValueError("an empty history has no back-off weight")
        node = self._find(history)
        if node is None:
            return None

        level = self.levels[len(history)]
        first, end = self._span(len(history), node)
        word = level.word[first:end].tolist()
        log_p = level.log_p[first:end].tolist()
        backoff = float(self.levels[len(history) - 1].backoff[node])
        known = Continuations(backoff, dict(zip(word, log_p, strict=True)))
        self._continuations[history] = known
        return known

    def _find(self, gram: History) -> int | None:
        """Return the index of an n-gram in its level, None if the model does not list it."""
        node = 0
        for length, word in enumerate(gram):
            first, end = self._span(length, node)
            node = bisect_left(self.levels[length].word, word, first, end)
            if node == end or self.levels[length].word[node] != word:
                return None
        return node

    def _span(self, length: int, node: int) -> tuple[int, int]:
        """Return the range of n-grams that continue the one of ``length`` at index ``node``."""
        first = self.levels[length].first
        return int(first[node]), int(first[node + 1])

    @cached_property
    def _continuations(self) -> dict[History, Continuations]:
        return {}

    @cached_property
    def _unigram_list(self) -> list[float]:
        unigram: list[float] = self.levels[0].log_p.tolist()
        return unigram
