"""A synthetic recogniser of any size to time lattices: lexicon, states, graph, planted scores."""

from dataclasses import dataclass

import numpy as np

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation
from workbench.settings import rng

CONSONANTS = 24
VOWELS = 15
KAPPA = 0.1
EASY = {"gain": 8.0, "spread": 2.5, "noise": 1.5}
HARD = {"gain": 5.0, "spread": 2.5, "noise": 2.0}


@dataclass(frozen=True)
class Recogniser:
    """Words of one pronunciation each, in order of their probability; ``share``: probability of
    each word.
    """

    lexicon: Lexicon
    states: TiedStates
    share: np.ndarray
    unigram: np.ndarray
    graph: Graph


def recogniser(words: int, seed: int = 0) -> Recogniser:
    """``words`` words of one to five syllables, Zipf's law, 39 phones, 2,400 tied states that
    depend on both neighbours.
    """
    draw = rng(seed, "words")
    consonant = np.arange(1, CONSONANTS + 1) ** -0.7
    consonant /= consonant.sum()
    vowel = np.arange(1, VOWELS + 1) ** -0.7
    vowel /= vowel.sum()
    said: dict[tuple[int, ...], None] = {}
    while len(said) < words:
        phones: list[int] = []
        for _ in range(1 + draw.binomial(4, 0.35)):
            kind = draw.random()
            onset = [1 + int(draw.choice(CONSONANTS, p=consonant))] if kind < 0.9 else []
            nucleus = [1 + CONSONANTS + int(draw.choice(VOWELS, p=vowel))]
            coda = [1 + int(draw.choice(CONSONANTS, p=consonant))] if kind > 0.4 else []
            phones += onset + nucleus + coda
        said[tuple(phones)] = None
    order = sorted(said, key=lambda p: len(p) + 3 * draw.random())
    names = tuple(f"p{i}" for i in range(1, CONSONANTS + VOWELS + 1))
    lexicon = Lexicon(
        ("<eps>", *(f"w{i}" for i in range(1, words + 1))),
        ("SIL", *names),
        tuple(Pronunciation(i, p, 0.0) for i, p in enumerate(order, 1)),
    )
    share = 1 / (np.arange(words) + 2.7)
    share /= share.sum()
    unigram = np.concatenate([[-np.inf], np.log(0.8 * share), [np.log(0.2)], [-np.inf]])
    states = tied_states(names, seed)
    return Recogniser(lexicon, states, share, unigram, denominator(lexicon, unigram, states))


def tied_states(phones: tuple[str, ...], seed: int = 0) -> TiedStates:
    """About 2,400 states: each position of each phone has classes of left and of right neighbours,
    as trees find them.
    """
    draw = rng(seed, "tying")
    n = len(phones) + 1
    table = np.zeros((n, n, n, 3), np.int32)
    table[:, 0] = [0, 1, 2]
    first = 3
    for phone in range(1, n):
        for position, (lefts, rights) in enumerate([(7, 3), (4, 5), (3, 7)]):
            left = draw.integers(0, lefts, n)
            right = draw.integers(0, rights, n)
            table[:, phone, :, position] = first + rights * left[:, None] + right[None, :]
            first += lefts * rights
    used, table = np.unique(table, return_inverse=True)
    return TiedStates(
        ("SIL", *phones), table.reshape(n, n, n, 3), np.full(len(used), np.log(0.6), np.float32)
    )


def planted(
    task: Recogniser, frames: int, seed: int, gain: float, spread: float, noise: float
) -> np.ndarray:
    """κ log-likelihoods float32 [frames, states]: correlated noise, with a bump for what is said
    and less for its kin.
    """
    draw = rng(seed, "planted")
    around = spoken_phones(task, frames // 12, draw)
    triples = list(zip([0, *around], [*around, 0], [*around[1:], 0, 0], strict=True))[: frames // 9]
    sequence = [
        (task.states.table[triple][k], triple[1], k)
        for triple in triples
        for k in range(3)
        for _ in range(draw.geometric(0.3))
    ]
    sequence = sequence[: frames - 9] + [(k, 0, k) for k in range(3) for _ in range(3)]
    sequence += [(2, 0, 2)] * (frames - len(sequence))
    x = draw.standard_normal((frames, task.states.count)).astype(np.float32)
    for t in range(1, frames):
        x[t] = 0.7 * x[t - 1] + np.sqrt(1 - 0.7**2) * x[t]
    x *= noise
    for t, (state, phone, position) in enumerate(sequence):
        strength = draw.normal(gain, spread)
        x[t, np.unique(task.states.table[:, phone, :, position])] += 0.6 * strength
        x[t, state] += 0.4 * strength
    x -= np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)) + x.max(1, keepdims=True)
    return (KAPPA * (x + np.log(task.states.count))).astype(np.float32)


def spoken_phones(task: Recogniser, enough: int, draw: np.random.Generator) -> list[int]:
    """Phones of words drawn from the unigram, with a pause now and then."""
    phones: list[int] = []
    while len(phones) < enough:
        word = 1 + int(draw.choice(len(task.share), p=task.share))
        phones += [*task.lexicon.of(word)[0].phones, *([0] if draw.random() < 0.2 else [])]
    return phones
