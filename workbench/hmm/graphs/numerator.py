"""The graph of one reference: its words in all their pronunciations, with optional silence.

Every path is a path of ``denominator.denominator`` with the same states, words and weight, so the numerator's total can
never exceed the denominator's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from workbench.hmm.graphs.builder import Branch, Entry, Junction, Network
from workbench.hmm.graphs.denominator import SILENCE_PROBABILITY
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import POSITIONS, SIL, TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation


def numerator(
    word_ids: Sequence[int],
    lexicon: Lexicon,
    states: TiedStates,
    unigram: np.ndarray,
    silence_probability: float = SILENCE_PROBABILITY,
) -> Graph:
    """The reference ``word_ids``; no words: silence only. Raises ValueError for a word that cannot be said."""
    said = [lexicon.of(word) for word in word_ids]
    for word, pronunciations in zip(word_ids, said, strict=True):
        if not pronunciations or not np.isfinite(unigram[word]):
            raise ValueError(f"{lexicon.words[word]}: no pronunciation, or probability 0")
    end = exp(unigram[len(lexicon.words)])
    if end == 0 or not 0 < silence_probability < 1:
        raise ValueError("a reference graph needs p(</s>) > 0 and 0 < silence_probability < 1")
    builder = _Builder(Network(states), said, unigram, end, silence_probability)
    builder.build()
    return builder.network.graph()


def shortest_frames(words: Sequence[str], lexicon: Lexicon) -> int:
    """The fewest frames in which ``words`` can be said: three per phone of the shortest pronunciations.

    Raises KeyError for a word that the lexicon lacks.
    """
    phones = (min(len(p.phones) for p in lexicon.of(lexicon.word_id(word))) for word in words)
    return POSITIONS * (sum(phones) or 1)


@dataclass
class _Builder:
    network: Network
    said: list[tuple[Pronunciation, ...]]
    unigram: np.ndarray
    end: float
    silence: float

    def build(self) -> None:
        """Words from the last to the first; boundary i lies before word i."""
        spoken = 1 - self.silence
        for i in range(len(self.said), -1, -1):
            lasts = {p.phones[-1] for p in self.said[i - 1]} if i else set()
            paused = self._pause(i)
            for left in sorted(lasts):
                ending = spoken * self.end if i == len(self.said) else 0.0
                self.network.junctions[i, left, SIL] = Junction(1.0, [paused], ending)
                for first, entries in self._words(i, left).items():
                    scaled = [e._replace(mass=spoken * e.mass) for e in entries]
                    self.network.junctions[i, left, first] = Junction(1.0, scaled)
        started = [
            e._replace(mass=spoken * e.mass)
            for entries in self._words(0, SIL).values()
            for e in entries
        ]
        self.network.start([paused, *started])

    def _pause(self, i: int) -> Entry:
        """Into the silence at boundary ``i``."""
        following = [e for entries in self._words(i, SIL).values() for e in entries]
        self.network.junctions[i] = Junction(
            1.0, following, self.end if i == len(self.said) else 0.0
        )
        (entry,) = self.network.phone(SIL, SIL, [Branch(SIL, i, 1.0)])
        return entry._replace(mass=self.silence)

    def _words(self, i: int, left: int) -> dict[int, list[Entry]]:
        """Ways into word ``i`` after the phone ``left``, by its first phone; none behind the last word."""
        starts: dict[int, list[Entry]] = {}
        for j, p in enumerate(self.said[i] if i < len(self.said) else ()):
            mass = exp(self.unigram[p.word] + p.log_probability)
            entries = [
                Entry(node, p.word, mass * part) for node, _, part in self._phones(i, j, 0, left)
            ]
            starts.setdefault(p.phones[0], []).extend(entries)
        return starts

    def _phones(self, i: int, j: int, k: int, left: int) -> list[Entry]:
        """Ways into phone ``k`` of pronunciation ``j`` of word ``i``."""
        phones = self.said[i][j].phones
        if k + 1 < len(phones):
            name = (i, j, k, "inside")
            if name not in self.network.junctions:
                self.network.junctions[name] = Junction(1.0, self._phones(i, j, k + 1, phones[k]))
            return self.network.phone(left, phones[k], [Branch(phones[k + 1], name, 1.0)])
        firsts = {p.phones[0] for p in self.said[i + 1]} if i + 1 < len(self.said) else set()
        branches = [
            Branch(right, (i + 1, phones[k], right), 1.0) for right in sorted({SIL} | firsts)
        ]
        return self.network.phone(left, phones[k], branches)
