"""A small language: its lexicon, random tied states, ways to say words, and graphs for OpenFst."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from workbench.hmm.states import POSITIONS, SIL, TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation

PRONUNCIATIONS = [
    (1, "A", 1.0),
    (2, "AB", 0.7),
    (2, "B", 0.3),
    (3, "ABC", 1.0),
    (4, "CA", 1.0),
    (5, "CA", 1.0),
    (6, "BCAB", 1.0),
]
LEXICON = Lexicon(
    ("<eps>", "a", "ab", "abc", "ca", "ka", "bcab"),
    ("SIL", "A", "B", "C"),
    tuple(
        Pronunciation(word, tuple("SABC".index(c) for c in phones), np.log(p))
        for word, phones, p in PRONUNCIATIONS
    ),
)
UNIGRAM = np.log([1e-30, 0.2, 0.15, 0.1, 0.2, 0.05, 0.1, 0.2, 1e-30])
PAUSE = 0.3  # probability of a silence at the start and after each word


def random_states(seed: int, choices: int = 2) -> TiedStates:
    """Tied states: each position of each phone has ``choices`` states, by context at random."""
    draw = np.random.default_rng(seed)
    phones = len(LEXICON.phones)
    first = choices * np.arange(phones * POSITIONS, dtype=np.int32)
    first = first.reshape(1, phones, 1, POSITIONS)
    shape = (phones, phones, phones, POSITIONS)
    table = first + draw.integers(0, choices, shape, dtype=np.int32)
    table[:, SIL] = first[:, SIL]

    used, table = np.unique(table, return_inverse=True)
    self_loop = np.log(draw.uniform(0.2, 0.8, len(used)))
    return TiedStates(LEXICON.phones, table.reshape(shape), self_loop)


def states_of_phones(phones: Sequence[int], states: TiedStates) -> list[int]:
    """The tied states of a sequence of phones in context, one for each position."""
    around = (SIL, *phones, SIL)
    triphones = zip(around, around[1:], around[2:], strict=False)
    return [int(state) for triphone in triphones for state in states.table[triphone]]


def all_durations(total: int, parts: int) -> Iterator[np.ndarray]:
    """All ways to spread ``total`` frames over ``parts`` states, each at least one."""
    for cuts in combinations(range(1, total), parts - 1):
        yield np.diff([0, *cuts, total])


class Saying(NamedTuple):
    """One way to say some words: pronunciations, a pause or not at each boundary, all phones."""

    pronunciations: tuple[Pronunciation, ...]
    pauses: tuple[bool, ...]
    phones: tuple[int, ...]


def sayings(words: Sequence[int]) -> Iterator[Saying]:
    """All ways to say ``words``: each choice of pronunciations and of pauses around the words."""
    for pronunciations in product(*(LEXICON.of(word) for word in words)):
        for pauses in product((False, True), repeat=len(words) + 1):
            phones = [SIL] if pauses[0] else []
            for pronunciation, pause in zip(pronunciations, pauses[1:], strict=True):
                phones += pronunciation.phones
                phones += [SIL] if pause else []
            yield Saying(pronunciations, pauses, tuple(phones))
