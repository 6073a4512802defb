"""The graph of one reference: its words in all their pronunciations, with optional silence.

Every path is also a path of `denominator` with the same states, words and weight, so the total of
the numerator can never exceed that of the denominator.
"""

from collections.abc import Sequence
from math import exp

import numpy as np

from workbench.hmm.graphs.builder import Branch, GraphBuilder, Junction, NodeEntry
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
    """Return the graph of the reference ``word_ids``; without words, of silence only.

    ``unigram`` [words + 2]: natural log; the entry behind the words is the end of the utterance.
    Raises ValueError for a word without a pronunciation or with probability 0.
    """
    pronunciations = [lexicon.of(word) for word in word_ids]
    for word, some in zip(word_ids, pronunciations, strict=True):
        if not some or not np.isfinite(unigram[word]):
            raise ValueError(f"{lexicon.words[word]}: no pronunciation, or probability 0")
    end = exp(unigram[len(lexicon.words)])
    if end == 0 or not 0 < silence_probability < 1:
        raise ValueError("a reference graph needs p(</s>) > 0 and 0 < silence_probability < 1")
    return _ReferenceGraph(states, pronunciations, unigram, end, silence_probability).build()


def shortest_frames(words: Sequence[str], lexicon: Lexicon) -> int:
    """Return the fewest frames in which ``words`` can be said.

    These are three per phone of the shortest pronunciations, or of one silence without words.
    Raises KeyError for a word that the lexicon lacks.
    """
    phones = 0
    for word in words:
        phones += min(len(p.phones) for p in lexicon.of(lexicon.word_id(word)))
    return POSITIONS * max(1, phones)


class _ReferenceGraph:
    """The numerator in the making; boundary i of the words is before word i.

    ``pronunciations``: those of each word. ``end``: p(</s>). ``silence``: probability of a silence
    at each boundary.
    """

    def __init__(
        self,
        states: TiedStates,
        pronunciations: list[tuple[Pronunciation, ...]],
        unigram: np.ndarray,
        end: float,
        silence: float,
    ):
        self.builder = GraphBuilder(states)
        self.junctions = self.builder.junctions
        self.pronunciations = pronunciations
        self.unigram = unigram
        self.end = end
        self.silence = silence
        self.spoken = 1 - silence

    def build(self) -> Graph:
        """Return the graph, built from the last boundary to the first."""
        words = len(self.pronunciations)
        for boundary in range(words, 0, -1):
            paused = self._pause(boundary)
            ending = self.spoken * self.end if boundary == words else 0.0
            for left in sorted({p.phones[-1] for p in self.pronunciations[boundary - 1]}):
                self.junctions[boundary, left, SIL] = Junction(1.0, [paused], ending)
                for first, entries in self._word_entries(boundary, left).items():
                    scaled = [entry.scaled(self.spoken) for entry in entries]
                    self.junctions[boundary, left, first] = Junction(1.0, scaled)

        paused = self._pause(0)
        started = [entry.scaled(self.spoken) for entry in self._after_silence(0)]
        self.builder.start([paused, *started])
        return self.builder.graph()

    def _pause(self, boundary: int) -> NodeEntry:
        """Return the way into the silence at a boundary."""
        ending = self.end if boundary == len(self.pronunciations) else 0.0
        self.junctions[boundary] = Junction(1.0, self._after_silence(boundary), ending)
        (entry,) = self.builder.phone(SIL, SIL, [Branch(SIL, boundary, 1.0)])
        return entry._replace(mass=self.silence)

    def _after_silence(self, boundary: int) -> list[NodeEntry]:
        """Return all ways into the word behind a boundary, after silence or the start."""
        by_first_phone = self._word_entries(boundary, SIL)
        return [entry for entries in by_first_phone.values() for entry in entries]

    def _word_entries(self, i: int, left: int) -> dict[int, list[NodeEntry]]:
        """Return the ways into word ``i`` after the phone ``left``, by its first phone.

        Behind the last word there are none.
        """
        by_first_phone: dict[int, list[NodeEntry]] = {}
        if i == len(self.pronunciations):
            return by_first_phone
        for j, pronunciation in enumerate(self.pronunciations[i]):
            mass = exp(self.unigram[pronunciation.word] + pronunciation.log_probability)
            entries = [
                NodeEntry(entry.node, pronunciation.word, mass * entry.mass)
                for entry in self._phone_entries(i, j, 0, left)
            ]
            by_first_phone.setdefault(pronunciation.phones[0], []).extend(entries)
        return by_first_phone

    def _phone_entries(self, i: int, j: int, k: int, left: int) -> list[NodeEntry]:
        """Return the ways into phone ``k`` of pronunciation ``j`` of word ``i``."""
        phones = self.pronunciations[i][j].phones
        phone = phones[k]
        if k + 1 < len(phones):
            name = (i, j, k, "inside")
            if name not in self.junctions:
                self.junctions[name] = Junction(1.0, self._phone_entries(i, j, k + 1, phone))
            return self.builder.phone(left, phone, [Branch(phones[k + 1], name, 1.0)])

        rights = {SIL}
        if i + 1 < len(self.pronunciations):
            rights |= {p.phones[0] for p in self.pronunciations[i + 1]}
        branches = [Branch(right, (i + 1, phone, right), 1.0) for right in sorted(rights)]
        return self.builder.phone(left, phone, branches)
