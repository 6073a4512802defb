"""The graph of everything that can be said: all word sequences under a unigram, for the denominator of MMI.

Generative model: at the start and after each word a silence follows with ``silence_probability``; then the utterance
ends with p(</s>) or goes on with a word of probability p(w), in one of its pronunciations. Phones have left and right
context, across words too; silence and the ends of the utterance are context SIL.

Words share their beginnings in a prefix tree over tied states, and their endings: as soon as what is left of a word is
certain, the arc carries the word and leads to a tail that all words with the same remaining phones share. Masses (see
``network``) are those of the unigram, so the graph is stochastic: arcs and final weight of every state sum to one.
"""

from dataclasses import dataclass
from itertools import groupby
from math import exp, isfinite

import numpy as np

from workbench.hmm.graphs.builder import Branch, Entry, Junction, Network
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import SIL, TiedStates
from workbench.language.lexicon import Lexicon

# As likely as not, the usual choice where nothing is known; alignments place silences by their sound anyway.
SILENCE_PROBABILITY = 0.5


def denominator(
    lexicon: Lexicon,
    unigram: np.ndarray,
    states: TiedStates,
    silence_probability: float = SILENCE_PROBABILITY,
) -> Graph:
    """All word sequences; ``unigram`` [words + 2] natural log, the entry behind the words is the end of the utterance.

    Words without a pronunciation or with probability 0 do not occur. Raises ValueError where nothing can be said.
    """
    end = exp(unigram[len(lexicon.words)])
    said = sorted(
        (p.phones, p.word, exp(unigram[p.word] + p.log_probability))
        for p in lexicon.pronunciations
        if isfinite(unigram[p.word])
    )
    if (
        not said
        or end == 0
        or not 0 < silence_probability < 1
        or not all(phones for phones, _, _ in said)
    ):
        raise ValueError(
            "a unigram graph needs words with phones, p(</s>) > 0 and 0 < silence_probability < 1"
        )
    builder = _Builder(Network(states), said, end, silence_probability)
    builder.build()
    return builder.network.graph()


@dataclass
class _Builder:
    """``said``: (phones, word, probability), sorted, so that a node of the prefix tree is a range of it."""

    network: Network
    said: list[tuple[tuple[int, ...], int, float]]
    end: float
    silence: float

    def build(self) -> None:
        self._tails: dict[tuple[int, tuple[int, ...]], list[Entry]] = {}
        self._mass = np.concatenate([[0.0], np.cumsum([mass for _, _, mass in self.said])])
        self._first = self._split(0, len(self.said), 0)
        spoken = 1 - self.silence
        ahead = {SIL: self.silence + spoken * self.end} | {
            p: spoken * self._between(*r) for p, r in self._first.items()
        }
        total = sum(ahead.values())
        self._ahead = {phone: mass / total for phone, mass in ahead.items()}
        self._boundaries()

    def _boundaries(self) -> None:
        """Start, silence and the ends of words, each with what may follow."""
        spoken = 1 - self.silence
        (pause,) = self.network.phone(SIL, SIL, [Branch(SIL, "silence", 1.0)])
        paused = pause._replace(mass=self.silence)
        for last in (SIL, *sorted({phones[-1] for phones, _, _ in self.said})):
            starts = {phone: self._entries(last, *r, 0) for phone, r in self._first.items()}
            if last == SIL:
                anything = [e for entries in starts.values() for e in entries]
                self.network.junctions["silence"] = Junction(1.0, anything, self.end)
                self.network.start([paused, *(e._replace(mass=spoken * e.mass) for e in anything)])
                continue
            self.network.junctions[last, SIL] = Junction(
                self._ahead[SIL], [paused], spoken * self.end
            )
            for phone, entries in starts.items():
                scaled = [e._replace(mass=spoken * e.mass) for e in entries]
                self.network.junctions[last, phone] = Junction(self._ahead[phone], scaled)

    def _entries(self, left: int, low: int, high: int, depth: int) -> list[Entry]:
        """Ways into phone ``depth`` of words ``low``:``high``, which share all phones up to and with this one."""
        phones = self.said[low][0]
        if phones == self.said[high - 1][0]:
            return self._labelled(self._tail(left, phones[depth:]), low, high)
        phone, ending = phones[depth], low
        while len(self.said[ending][0]) == depth + 1:
            ending += 1
        branches = []
        for right, (a, b) in self._split(ending, high, depth + 1).items():
            name, mass = (a, b, depth + 1), self._between(a, b)
            if name not in self.network.junctions:
                self.network.junctions[name] = Junction(mass, self._entries(phone, a, b, depth + 1))
            branches.append(Branch(right, name, mass))
        ended = self._labelled(self._tail(left, (phone,)), low, ending) if ending > low else []
        return ended + self.network.phone(left, phone, branches)

    def _labelled(self, tail: list[Entry], low: int, high: int) -> list[Entry]:
        """The ways into a tail for each of the words ``low``:``high``, which all sound alike from here on."""
        return [
            Entry(node, word, mass * part)
            for _, word, mass in self.said[low:high]
            for node, _, part in tail
        ]

    def _tail(self, left: int, phones: tuple[int, ...]) -> list[Entry]:
        """Ways into what is left of a word when nothing but these phones can come; masses sum to one."""
        if (left, phones) not in self._tails:
            phone, rest = phones[0], phones[1:]
            if rest:
                name = ("tail", phones)
                self.network.junctions[name] = Junction(1.0, self._tail(phone, rest))
                branches = [Branch(rest[0], name, 1.0)]
            else:
                branches = [
                    Branch(right, (phone, right), mass) for right, mass in self._ahead.items()
                ]
            self._tails[left, phones] = self.network.phone(left, phone, branches)
        return self._tails[left, phones]

    def _split(self, low: int, high: int, depth: int) -> dict[int, tuple[int, int]]:
        """The ranges of ``low``:``high`` by phone number ``depth``."""
        ranges = {}
        for phone, group in groupby(range(low, high), key=lambda i: self.said[i][0][depth]):
            members = list(group)
            ranges[phone] = (members[0], members[-1] + 1)
        return ranges

    def _between(self, low: int, high: int) -> float:
        return float(self._mass[high] - self._mass[low])
