"""Back-off n-gram models, kept as a trie of sorted arrays.

    log p(w | h) = log_p(h w)  if the model lists h w,  else  backoff(h) + log p(w | h without its oldest word)

Word ids are the lexicon's, followed by the end </s> and the beginning <s> of a sentence. A history is a tuple of word
ids, oldest first; a sentence starts with ``start``. Everything is in natural logarithms; what cannot be said (<eps>,
<s>) has -inf.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

END, BEGIN = "</s>", "<s>"
History = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Level:
    """All n-grams of one length, in order of their prefixes, then of their last words.

    ``first``: int64 [shorter n-grams + 1], where the n-grams that continue a shorter one begin; ``word``: int32
    [n-grams], the last words; ``log_p``, ``backoff``: float32 [n-grams].
    """

    first: np.ndarray
    word: np.ndarray
    log_p: np.ndarray
    backoff: np.ndarray


@dataclass(frozen=True)
class Likelihood:
    """Log probability of a text, over so many tokens (ends of sentences among them), without the unknown ones."""

    log_probability: float
    tokens: int
    unknown_tokens: int

    @property
    def perplexity(self) -> float:
        """exp(-log probability per token); nan without tokens."""
        return math.exp(-self.log_probability / self.tokens) if self.tokens else math.nan


@dataclass(frozen=True, eq=False)
class NGram:
    """A back-off model over ``words`` (a lexicon's, then "</s>" and "<s>"), with ``notes`` on how it came about.

    ``levels[0]`` has an entry for every word id. The arrays are not to be written to.
    """

    words: tuple[str, ...]
    levels: tuple[Level, ...]
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> int:
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
        """log p(word | history); words before the longest n-gram do not matter."""
        total = 0.0
        history = history[-(self.order - 1) :] if self.order > 1 else ()
        while history:
            row = self._row(history)
            if row is not None:
                backoff, log_p = row
                if word in log_p:
                    return total + log_p[word]
                total += backoff
            history = history[1:]
        return total + self._single[word]

    def advance(self, history: History, word: int) -> History:
        """What the model remembers after ``word``: the longest suffix on which a later score can depend."""
        history = (*history, word)[-(self.order - 1) :] if self.order > 1 else ()
        while history and self._row(history) in (None, (0.0, {})):
            history = history[1:]
        return history

    def distribution(self, history: History) -> np.ndarray:
        """log p(w | history) of all words at once: float64 [words]."""
        out = self.levels[0].log_p.astype(np.float64)
        for length in range(1, min(len(history), self.order - 1) + 1):
            node = self._find(history[-length:])
            if node is not None:
                out += self.levels[length - 1].backoff[node]
                level, (a, b) = self.levels[length], self._span(length, node)
                out[level.word[a:b]] = level.log_p[a:b]
        return out

    def unigram(self) -> np.ndarray:
        """log p of every word without history: float32 [words].

        In an estimated model of higher order these count contexts, not tokens (Kneser & Ney): for a unigram language
        model estimate one of order 1.
        """
        return self.levels[0].log_p

    def likelihood(self, sentences: Iterable[Sequence[str]]) -> Likelihood:
        """Of sentences of words; unknown words are left out, counted, and forgotten as history."""
        total, tokens, unknown = 0.0, 0, 0
        for sentence in sentences:
            history = self.start
            for word in [*(self.ids.get(word) for word in sentence), self.eos]:
                if word is None:
                    unknown, history = unknown + 1, ()
                else:
                    total, tokens = total + self.score(history, word), tokens + 1
                    history = self.advance(history, word)
        return Likelihood(total, tokens, unknown)

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Per token, ends of sentences included, unknown words left out; nan for an empty text."""
        return self.likelihood(sentences).perplexity

    @cached_property
    def ids(self) -> dict[str, int]:
        """Ids of the words of texts: neither <eps> nor the marks of a sentence's ends are among them."""
        return {word: i for i, word in enumerate(self.words[: self.eos]) if i}

    def _find(self, gram: History) -> int | None:
        """Where an n-gram stands in its level."""
        node = 0
        for length, word in enumerate(gram):
            a, b = self._span(length, node)
            node = bisect_left(self.levels[length].word, word, a, b)
            if node == b or self.levels[length].word[node] != word:
                return None
        return node

    def _span(self, length: int, node: int) -> tuple[int, int]:
        first = self.levels[length].first
        return int(first[node]), int(first[node + 1])

    def _row(self, history: History) -> tuple[float, dict[int, float]] | None:
        """Back-off weight and explicit continuations of a history; kept, since a search asks for the same ones."""
        row = self._rows.get(history)
        if row is None:
            node = self._find(history)
            if node is None:
                return None
            level, (a, b) = self.levels[len(history)], self._span(len(history), node)
            log_p = dict(zip(level.word[a:b].tolist(), level.log_p[a:b].tolist(), strict=True))
            row = self._rows[history] = float(self.levels[len(history) - 1].backoff[node]), log_p
        return row

    @cached_property
    def _rows(self) -> dict[History, tuple[float, dict[int, float]]]:
        return {}

    @cached_property
    def _single(self) -> list[float]:
        return self.levels[0].log_p.tolist()

    def __getstate__(self):
        """What is sent to another process: the arrays, not what was looked up in them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def save(self, path: Path) -> None:
        """Writes a .npz file; see ``load``."""
        text = {"words": "\n".join(self.words), "notes": "\n".join(self.notes)}
        arrays = {name: np.frombuffer(value.encode(), np.uint8) for name, value in text.items()}
        for n, level in enumerate(self.levels, 1):
            arrays |= {f"{f.name}{n}": getattr(level, f.name) for f in fields(level)}
        with open(path, "wb") as file:
            np.savez(file, **arrays)

    @staticmethod
    def load(path: Path) -> "NGram":
        """The model that ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            words, notes = (
                tuple(file[name].tobytes().decode().split("\n")) for name in ("words", "notes")
            )
            order = sum(name.startswith("word") for name in file.files) - 1
            levels = tuple(
                Level(*(file[f"{f.name}{n}"] for f in fields(Level))) for n in range(1, order + 1)
            )
        return NGram(words, levels, tuple(note for note in notes if note))
