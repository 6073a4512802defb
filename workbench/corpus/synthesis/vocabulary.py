"""The words of a corpus, their canonical pronunciations, and the slots of templates filled with these words only."""

import collections
import re
from collections.abc import Callable
from dataclasses import dataclass

from workbench.corpus.synthesis.ngrams import Counts
from workbench.corpus.synthesis.phones import spoken
from workbench.corpus.synthesis.recipe import SLOT, Recipe, Slot

SPARE = 1.15  # of the words looked at: some turn out not to be pronounceable


@dataclass(frozen=True)
class Vocabulary:
    """Words with their mnemonics as said alone; slots hold only entries whose words are all among them."""

    mnemonics: dict[str, tuple[str, ...]]
    slots: dict[str, tuple[tuple[str, ...], ...]]
    frequency: dict[str, int]  # 1 where nothing is known


def choose(
    recipe: Recipe,
    size: int,
    walks: bool,
    counts: Counts | None,
    pronounce: Callable[[list[str]], list[list[list[str]]]],
) -> Vocabulary:
    """About ``size`` words: those of the templates, shares of the slots' entries, and then the most frequent words
    there are.

    ``pronounce`` turns texts into the mnemonics of their words. Words that the synthesiser spells out, says in another
    language's sounds or as several words are left out.
    """
    frequency = small_counts(counts, recipe.letters, leading=2 * size) if counts else {}
    names = name_counts(counts, leading=20 * size) if counts else {}
    wanted = {
        name: _wanted(slot, size if walks else 2 * size, names)
        for name, slot in recipe.slots.items()
    }
    fixed = [w for template in recipe.templates for w in SLOT.sub(" ", template).split()]
    entries = [
        w for slot in wanted.values() for entry in slot for form in entry for w in form.split()
    ]
    candidates = list(dict.fromkeys([*fixed, *entries, *frequency]))[: int(SPARE * size)]
    said = {
        w: p for w, p in zip(candidates, pronounce(candidates), strict=True) if _usable(p, recipe)
    }
    words = dict.fromkeys(list(said)[:size])
    slots = {
        name: tuple(e for e in slot if all(w in words for form in e for w in form.split()))
        for name, slot in wanted.items()
    }
    return Vocabulary(
        {w: tuple(said[w][0]) for w in words}, slots, {w: frequency.get(w, 1) for w in words}
    )


def small_counts(counts: Counts, letters: str, leading: int) -> dict[str, int]:
    """Counts of words written small that match ``letters``, falling, of the first ``leading`` words of a table."""
    total: collections.Counter = collections.Counter()
    pattern = re.compile(letters)
    for word, count in zip(
        counts.words[: leading + 1], counts.count[: leading + 1].tolist(), strict=True
    ):
        if pattern.fullmatch(word.lower()):
            total[word.lower()] += count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def name_counts(counts: Counts, leading: int) -> dict[str, int]:
    """Counts of words that are mostly written large, so are names, and not words that begin sentences."""
    count = dict(
        zip(counts.words[: leading + 1], counts.count[: leading + 1].tolist(), strict=True)
    )
    large = {w: n for w, n in count.items() if w[:1].isupper()}
    return {w.lower(): n for w, n in large.items() if n > 2 * count.get(w.lower(), 0)}


def _wanted(slot: Slot, size: int, names: dict[str, int]) -> tuple[tuple[str, ...], ...]:
    entries = slot.entries
    if slot.by_count and names:
        entries = tuple(sorted(entries, key=lambda entry: -names.get(entry[0], 0)))
    return entries[: min(slot.most, max(6, round(slot.share * size)))]


def _usable(words: list[list[str]], recipe: Recipe) -> bool:
    return len(words) == 1 and bool(words[0]) and spoken(words[0], recipe.sounds.fold) is not None
