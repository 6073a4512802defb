"""The words of a corpus, their pronunciations, and slots filled with these words only."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workbench.corpus.synthesis.ngrams import Counts
from workbench.corpus.synthesis.phones import Mnemonics, fold_word
from workbench.corpus.synthesis.recipe import SLOT, Recipe, Slot, SlotEntry

SPARE = 1.15  # candidates per word that is wanted: some turn out not to be pronounceable
FEWEST_ENTRIES = 6

Pronounce = Callable[[list[str]], list[list[list[str]]]]
"""Returns, for each text, the mnemonics of each word that the synthesiser finds in it."""


@dataclass(frozen=True)
class Vocabulary:
    """Words with their mnemonics as spoken alone; slots have only entries made of these words."""

    mnemonics: dict[str, Mnemonics]
    slots: dict[str, tuple[SlotEntry, ...]]


def choose_vocabulary(
    recipe: Recipe, size: int, walks: bool, counts: Counts | None, pronounce: Pronounce
) -> Vocabulary:
    """Return about ``size`` words: of the templates, of the slots' entries, then the most frequent.

    Words that the synthesiser spells out, speaks with the sounds of another language or as several
    words are left out. ``walks`` is whether text is also drawn from n-grams.
    """
    frequency = count_lower_case(counts, recipe.letters, leading=2 * size) if counts else {}
    names = count_names(counts, leading=20 * size) if counts else {}
    wanted = {
        name: _select_entries(slot, size if walks else 2 * size, names)
        for name, slot in recipe.slots.items()
    }

    in_templates = _words_of(SLOT.sub(" ", template) for template in recipe.templates)
    in_entries = _words_of(form for slot in wanted.values() for entry in slot for form in entry)
    candidates = list(dict.fromkeys([*in_templates, *in_entries, *frequency]))[: int(SPARE * size)]

    spoken = {
        candidate: words[0]
        for candidate, words in zip(candidates, pronounce(candidates), strict=True)
        if _is_usable(words, recipe)
    }
    chosen = dict(list(spoken.items())[:size])
    slots = {
        name: tuple(entry for entry in entries if all(w in chosen for w in _words_of(entry)))
        for name, entries in wanted.items()
    }
    return Vocabulary(
        mnemonics={word: tuple(mnemonics) for word, mnemonics in chosen.items()},
        slots=slots,
    )


def count_lower_case(counts: Counts, letters: str, leading: int) -> dict[str, int]:
    """Return counts of words in lower case that match ``letters``, the most frequent first.

    Only the first ``leading`` words of the table are counted.
    """
    pattern = re.compile(letters)
    total: Counter[str] = Counter()
    for word, count in _leading_words(counts, leading).items():
        if pattern.fullmatch(word.lower()):
            total[word.lower()] += count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def count_names(counts: Counts, leading: int) -> dict[str, int]:
    """Return counts of words, in lower case, that are mostly capitalised.

    These are names, and not words that begin sentences. Only the first ``leading`` words are
    counted.
    """
    table = _leading_words(counts, leading)
    return {
        word.lower(): count
        for word, count in table.items()
        if word[:1].isupper() and count > 2 * table.get(word.lower(), 0)
    }


def _leading_words(counts: Counts, leading: int) -> dict[str, int]:
    """Return counts of the sentence boundary and the first ``leading`` words."""
    words = counts.words[: leading + 1]
    return dict(zip(words, counts.count[: leading + 1].tolist(), strict=True))


def _select_entries(slot: Slot, size: int, names: dict[str, int]) -> tuple[SlotEntry, ...]:
    """Return the leading entries of a slot, as many as suit a vocabulary of ``size`` words."""
    entries = slot.entries
    if slot.by_count and names:
        entries = tuple(sorted(entries, key=lambda entry: -names.get(entry[0], 0)))
    wanted = max(FEWEST_ENTRIES, round(slot.share * size))
    return entries[: min(slot.most, wanted)]


def _words_of(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.split()]


def _is_usable(words: list[list[str]], recipe: Recipe) -> bool:
    """Return whether the synthesiser found one word, with sounds of the language only."""
    return (
        len(words) == 1 and bool(words[0]) and fold_word(words[0], recipe.sounds.fold) is not None
    )
