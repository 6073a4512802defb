"""Sentences: templates with slots, and walks through n-grams, restricted to a vocabulary.

Which split a sentence may belong to is decided by a hash of its words, so that the texts of the splits are disjoint
whatever their sizes and seeds, and no list of forbidden sentences is needed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.corpus.synthesis.difficulty import Difficulty
from workbench.corpus.synthesis.ngrams import Counts, Followers, followers
from workbench.corpus.synthesis.recipe import SLOT, Recipe
from workbench.corpus.synthesis.vocabulary import Vocabulary
from workbench.settings import rng

Sentence = tuple[str, ...]
ZONES = (
    ("heldout", 0.10),
    ("test", 0.25),
    ("train", 1.0),
)  # upper bounds of the hash; LM text shares the zone of train
STOPS = frozenset(("", ".", ",", "?", "!", ":", ";", "-", "“", "(", ")"))
TEMPLATE_EXPONENT = 0.5
PATIENCE = 8  # draws of a stop before a walk that is too short gives up


@dataclass(frozen=True)
class Grammar:
    """All that sentences are drawn from; the arrays are cumulated weights."""

    templates: tuple[str, ...]
    template_weights: np.ndarray
    slots: dict[str, tuple[tuple[str, ...], ...]]
    slot_weights: dict[str, np.ndarray]
    follow: Followers | None
    seeds: np.ndarray  # numbers of the words that walks begin with
    seed_weights: np.ndarray
    knobs: Difficulty


def grammar(
    recipe: Recipe, vocabulary: Vocabulary, counts: Counts | None, knobs: Difficulty
) -> Grammar:
    """The sentences of a recipe over a vocabulary; without ``counts`` all of them are templates."""
    usable = tuple(
        t
        for t in recipe.templates
        if all(vocabulary.slots[name.rstrip("1")] for name in SLOT.findall(t))
    )
    slot_weights = {
        name: _zipf(len(entries), knobs.slot_exponent) for name, entries in vocabulary.slots.items()
    }
    follow, seeds, weights = None, np.zeros(0, np.int64), np.zeros(0)
    if counts is not None:
        follow = followers(counts, set(vocabulary.mnemonics), STOPS)
        seeds = np.flatnonzero([w in vocabulary.mnemonics for w in counts.words])
        weights = np.cumsum(np.maximum(1, counts.count[seeds]) ** knobs.seed_exponent)
    return Grammar(
        usable,
        _zipf(len(usable), TEMPLATE_EXPONENT),
        vocabulary.slots,
        slot_weights,
        follow,
        seeds,
        weights,
        knobs,
    )


def sentences(g: Grammar, seed: int, name: str, split: str) -> Iterator[Sentence]:
    """Endless sentences of ``split``'s zone, the stream called ``name``."""
    stream = rng(seed, "text", name)
    while True:
        sentence = draw(g, stream)
        if sentence and zone(sentence) == split:
            yield sentence


def zone(sentence: Sentence) -> str:
    """The one split whose transcripts may hold this sentence."""
    u = int.from_bytes(hashlib.sha256(" ".join(sentence).encode()).digest()[:7]) / 2**56
    return next(name for name, bound in ZONES if u < bound)


def draw(g: Grammar, stream: np.random.Generator) -> Sentence:
    """One sentence, possibly empty."""
    u = stream.random()
    if g.follow is None or u < g.knobs.templates:
        return _filled(g, stream)
    if u < g.knobs.templates + g.knobs.openings:
        return _walk(g, stream, None, min(2 + int(stream.geometric(0.45)), 6))
    first = int(g.seeds[_pick(g.seed_weights, stream)])
    return _walk(g, stream, first, min(1 + int(stream.geometric(0.5)), 5))


def _filled(g: Grammar, stream: np.random.Generator) -> Sentence:
    template = g.templates[_pick(g.template_weights, stream)]
    words: list[str] = []
    for part in template.split():
        slot = SLOT.fullmatch(part)
        if slot is None:
            words.append(part)
            continue
        name = slot[1].rstrip("1")
        entry = g.slots[name][_pick(g.slot_weights[name], stream)]
        words.extend(entry[int(slot[1] != name)].split())
    return tuple(words)


def _walk(g: Grammar, stream: np.random.Generator, first: int | None, longest: int) -> Sentence:
    """Words each drawn after the two before; from the start of a sentence if there is no ``first`` one."""
    counts = g.follow.counts
    last, pair = (0, None) if first is None else (first, None)
    words = [] if first is None else [counts.words[first].lower()]
    tries = PATIENCE
    while len(words) < longest and tries:
        drawn = g.follow.draw(pair, last, stream.random())
        if drawn is None:
            break
        if counts.words[drawn[0]] in STOPS:
            if len(words) > 1:
                break
            tries -= 1
            continue
        last, pair = drawn
        words.append(counts.words[last].lower())
    return tuple(words)


def _zipf(n: int, exponent: float) -> np.ndarray:
    return np.cumsum(1.0 / np.arange(2, n + 2) ** exponent)


def _pick(cumulated: np.ndarray, stream: np.random.Generator) -> int:
    return int(np.searchsorted(cumulated, stream.random() * cumulated[-1], side="right"))
