"""The graph of all sentences: every word sequence under a unigram, for the denominator of MMI.

Generative model: at the start and after each word a silence follows with ``silence_probability``;
then the utterance ends with p(</s>) or continues with a word of probability p(w), in one of its
pronunciations. Phones have left and right contexts, across words too; silence and the ends of the
utterance are context SIL.

Words share their beginnings in a prefix tree over tied states, and their endings: as soon as the
rest of a word is certain, the arc carries the word and leads to a tail that all words with the
same remaining phones share. Masses (see `builder`) are those of the unigram, so the graph is
stochastic: the arcs and the final weight of every state sum to one.
"""

from itertools import groupby
from math import exp, fsum, isfinite
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.builder import Branch, GraphBuilder, Junction, NodeEntry
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import SIL, TiedStates
from workbench.language.lexicon import Lexicon

# Where nothing is known, as likely as not. Alignments place silences by their sound anyway.
SILENCE_PROBABILITY = 0.5

SILENCE = "silence"  # the junction behind a silence


def denominator(
    lexicon: Lexicon,
    unigram: np.ndarray,
    states: TiedStates,
    silence_probability: float = SILENCE_PROBABILITY,
) -> Graph:
    """Return the graph of all word sequences.

    ``unigram`` [words + 2]: natural log; the entry behind the words is the end of the utterance.
    Words without a pronunciation or with probability 0 do not occur. Raises ValueError where
    nothing can be said.
    """
    end = exp(unigram[len(lexicon.words)])
    readings = sorted(
        _Reading(p.phones, p.word, exp(unigram[p.word] + p.log_probability))
        for p in lexicon.pronunciations
        if isfinite(unigram[p.word])
    )
    has_words = bool(readings) and all(reading.phones for reading in readings)
    if not has_words or end == 0 or not 0 < silence_probability < 1:
        raise ValueError(
            "a unigram graph needs words with phones, p(</s>) > 0 and 0 < silence_probability < 1"
        )
    return _SentenceGraph(states, readings, end, silence_probability).build()


class _Reading(NamedTuple):
    """A pronunciation of a word, with the probability of both together."""

    phones: tuple[int, ...]
    word: int
    mass: float


class _Range(NamedTuple):
    """Readings ``low`` : ``high``, a node of the prefix tree if they share their first phones."""

    low: int
    high: int


class _SentenceGraph:
    """The denominator in the making, from ``readings`` sorted by phones.

    ``end``: p(</s>). ``silence``: probability of a silence at each boundary of words.
    """

    def __init__(self, states: TiedStates, readings: list[_Reading], end: float, silence: float):
        self.builder = GraphBuilder(states)
        self.junctions = self.builder.junctions
        self.readings = readings
        self.end = end
        self.silence = silence
        self.spoken = 1 - silence

        masses = [reading.mass for reading in readings]
        self.cumulative_mass = np.concatenate([[0.0], np.cumsum(masses)])
        self.by_first_phone = self._split(_Range(0, len(readings)), 0)
        self.look_ahead = self._look_ahead()
        self.tails: dict[tuple[int, tuple[int, ...]], list[NodeEntry]] = {}

    def build(self) -> Graph:
        """Return the graph: the start, silence and the ends of words, each with what follows."""
        (pause,) = self.builder.phone(SIL, SIL, [Branch(SIL, SILENCE, 1.0)])
        paused = pause._replace(mass=self.silence)

        anything = [
            entry for some in self.by_first_phone.values() for entry in self._words(SIL, some, 0)
        ]
        self.junctions[SILENCE] = Junction(1.0, anything, self.end)
        self.builder.start([paused, *(entry.scaled(self.spoken) for entry in anything)])
        for last in sorted({reading.phones[-1] for reading in self.readings}):
            self._add_word_end(last, paused)
        return self.builder.graph()

    def _look_ahead(self) -> dict[int, float]:
        """Return the probability of each phone (SIL: silence or the end) to follow a word."""
        ahead = {SIL: self.silence + self.spoken * self.end}
        for phone, some in self.by_first_phone.items():
            ahead[phone] = self.spoken * self._mass(some)
        total = fsum(ahead.values())
        return {phone: mass / total for phone, mass in ahead.items()}

    def _add_word_end(self, last: int, paused: NodeEntry) -> None:
        """Add the junctions behind words that end in the phone ``last``."""
        ending = self.spoken * self.end
        self.junctions[last, SIL] = Junction(self.look_ahead[SIL], [paused], ending)
        for phone, some in self.by_first_phone.items():
            entries = [entry.scaled(self.spoken) for entry in self._words(last, some, 0)]
            self.junctions[last, phone] = Junction(self.look_ahead[phone], entries)

    def _words(self, left: int, some: _Range, depth: int) -> list[NodeEntry]:
        """Return the ways into phone ``depth`` of readings that share their phones up to it."""
        phones = self.readings[some.low].phones
        if phones == self.readings[some.high - 1].phones:
            return self._label(self._tail(left, phones[depth:]), some)

        # Those that end with this phone come first.
        phone = phones[depth]
        first_longer = some.low
        while len(self.readings[first_longer].phones) == depth + 1:
            first_longer += 1
        ending = _Range(some.low, first_longer)
        longer = _Range(first_longer, some.high)

        branches = []
        for right, below in self._split(longer, depth + 1).items():
            name = (below.low, below.high, depth + 1)
            mass = self._mass(below)
            if name not in self.junctions:
                self.junctions[name] = Junction(mass, self._words(phone, below, depth + 1))
            branches.append(Branch(right, name, mass))

        entries = []
        if first_longer > some.low:
            entries += self._label(self._tail(left, (phone,)), ending)
        return entries + self.builder.phone(left, phone, branches)

    def _label(self, tail: list[NodeEntry], some: _Range) -> list[NodeEntry]:
        """Return the ways into a tail for each of some readings, which sound alike from here."""
        return [
            NodeEntry(entry.node, reading.word, reading.mass * entry.mass)
            for reading in self.readings[some.low : some.high]
            for entry in tail
        ]

    def _tail(self, left: int, phones: tuple[int, ...]) -> list[NodeEntry]:
        """Return the ways into the rest of a word that is certain; their masses sum to one."""
        if (left, phones) not in self.tails:
            phone, *rest = phones
            if rest:
                name = ("tail", phones)
                self.junctions[name] = Junction(1.0, self._tail(phone, tuple(rest)))
                branches = [Branch(rest[0], name, 1.0)]
            else:
                branches = [
                    Branch(right, (phone, right), mass) for right, mass in self.look_ahead.items()
                ]
            self.tails[left, phones] = self.builder.phone(left, phone, branches)
        return self.tails[left, phones]

    def _split(self, some: _Range, depth: int) -> dict[int, _Range]:
        """Return the ranges of readings that have the same phone number ``depth``, by phone."""
        ranges = {}
        phone_at_depth = groupby(
            range(some.low, some.high), key=lambda i: self.readings[i].phones[depth]
        )
        for phone, group in phone_at_depth:
            members = list(group)
            ranges[phone] = _Range(members[0], members[-1] + 1)
        return ranges

    def _mass(self, some: _Range) -> float:
        """Return the summed probability of some readings."""
        return float(self.cumulative_mass[some.high] - self.cumulative_mass[some.low])
