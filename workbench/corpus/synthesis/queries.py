"""Sentences: templates with slots, and walks through n-grams, restricted to a vocabulary.

A hash of its words decides which split a sentence may belong to. So the texts of the splits are
disjoint for all sizes and seeds, and no list of forbidden sentences is needed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.corpus.synthesis.difficulty import Difficulty
from workbench.corpus.synthesis.ngrams import BOUNDARY, Counts, Followers, find_followers
from workbench.corpus.synthesis.recipe import SLOT, Recipe, SlotEntry, parse_slot
from workbench.corpus.synthesis.vocabulary import Vocabulary
from workbench.settings import rng

Sentence = tuple[str, ...]

SPLIT_BOUNDS = (("heldout", 0.10), ("test", 0.25), ("train", 1.0))
"""Upper bounds of the hash of each split; the text of the language model is that of train."""

STOPS = frozenset(("", ".", ",", "?", "!", ":", ";", "-", "“", "(", ")"))
"""Words of the n-grams that end a walk."""

TEMPLATE_EXPONENT = 0.5
STOP_DRAWS = 8  # stops that may be drawn before a walk that is too short gives up


@dataclass(frozen=True)
class Walks:
    """The n-grams through which walks go, and the words that they may begin with."""

    followers: Followers
    seeds: np.ndarray  # int64 [n], numbers of words
    seed_weights: np.ndarray  # float64 [n], cumulated


@dataclass(frozen=True)
class Grammar:
    """All that sentences are drawn from; weights are cumulated."""

    templates: tuple[str, ...]
    template_weights: np.ndarray
    slots: dict[str, tuple[SlotEntry, ...]]
    slot_weights: dict[str, np.ndarray]
    walks: Walks | None  # None: all sentences are templates
    difficulty: Difficulty


def build_grammar(
    recipe: Recipe, vocabulary: Vocabulary, counts: Counts | None, difficulty: Difficulty
) -> Grammar:
    """Return the grammar of a recipe over a vocabulary; without ``counts``, only templates."""
    templates = tuple(
        template
        for template in recipe.templates
        if all(vocabulary.slots[parse_slot(name).name] for name in SLOT.findall(template))
    )
    slot_weights = {
        name: _cumulate_zipf(len(entries), difficulty.slot_exponent)
        for name, entries in vocabulary.slots.items()
    }
    return Grammar(
        templates=templates,
        template_weights=_cumulate_zipf(len(templates), TEMPLATE_EXPONENT),
        slots=vocabulary.slots,
        slot_weights=slot_weights,
        walks=None if counts is None else _find_walks(vocabulary, counts, difficulty),
        difficulty=difficulty,
    )


def generate_sentences(grammar: Grammar, seed: int, name: str, split: str) -> Iterator[Sentence]:
    """Yield sentences of ``split`` without end, from the random stream called ``name``."""
    stream = rng(seed, "text", name)
    while True:
        sentence = draw_sentence(grammar, stream)
        if sentence and split_of(sentence) == split:
            yield sentence


def split_of(sentence: Sentence) -> str:
    """Return the one split whose transcripts may hold this sentence."""
    digest = hashlib.sha256(" ".join(sentence).encode()).digest()
    u = int.from_bytes(digest[:7]) / 2**56
    return next(split for split, bound in SPLIT_BOUNDS if u < bound)


def draw_sentence(grammar: Grammar, stream: np.random.Generator) -> Sentence:
    """Return one sentence, which may be empty."""
    u = stream.random()
    difficulty = grammar.difficulty
    if grammar.walks is None or u < difficulty.templates:
        return _fill_template(grammar, stream)
    if u < difficulty.templates + difficulty.openings:
        longest = min(2 + int(stream.geometric(0.45)), 6)
        return _walk(grammar.walks.followers, stream, BOUNDARY, longest)

    seed = int(grammar.walks.seeds[_draw_index(grammar.walks.seed_weights, stream)])
    longest = min(1 + int(stream.geometric(0.5)), 5)
    return _walk(grammar.walks.followers, stream, seed, longest)


def _find_walks(vocabulary: Vocabulary, counts: Counts, difficulty: Difficulty) -> Walks:
    seeds = np.flatnonzero([word in vocabulary.mnemonics for word in counts.words])
    weights = np.maximum(1, counts.count[seeds]) ** difficulty.seed_exponent
    followers = find_followers(counts, vocabulary.mnemonics.keys(), STOPS)
    return Walks(followers, seeds, np.cumsum(weights))


def _fill_template(grammar: Grammar, stream: np.random.Generator) -> Sentence:
    template = grammar.templates[_draw_index(grammar.template_weights, stream)]
    words: list[str] = []
    for part in template.split():
        slot = SLOT.fullmatch(part)
        if slot is None:
            words.append(part)
            continue
        use = parse_slot(slot[1])
        entry = grammar.slots[use.name][_draw_index(grammar.slot_weights[use.name], stream)]
        words.extend(entry[use.form].split())
    return tuple(words)


def _walk(followers: Followers, stream: np.random.Generator, first: int, longest: int) -> Sentence:
    """Return up to ``longest`` words, each drawn after the two before it.

    ``first`` is the number of the first word, or the sentence boundary, which is not in the
    result.
    """
    all_words = followers.counts.words
    words = [] if first == BOUNDARY else [all_words[first].lower()]
    last = first
    bigram: int | None = None
    draws_left = STOP_DRAWS

    while len(words) < longest and draws_left:
        drawn = followers.draw(bigram, last, stream.random())
        if drawn is None:
            break
        if all_words[drawn.word] in STOPS:
            if len(words) > 1:
                break
            draws_left -= 1
            continue
        last, bigram = drawn
        words.append(all_words[last].lower())
    return tuple(words)


def _cumulate_zipf(n: int, exponent: float) -> np.ndarray:
    """Return the cumulated weights of ``n`` ranks, float64 [n]."""
    return np.cumsum(1.0 / np.arange(2, n + 2) ** exponent)


def _draw_index(cumulated: np.ndarray, stream: np.random.Generator) -> int:
    """Return an index drawn in proportion to weights that are given ``cumulated``."""
    return int(np.searchsorted(cumulated, stream.random() * cumulated[-1], side="right"))
