"""What makes one synthetic language: words, templates, the synthesiser's voice, and how its sounds are folded."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from workbench.corpus.synthesis.ngrams import Counts

SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Slot:
    """Ranked entries of one slot of templates, each with a form for each case: {name}, {name1}."""

    entries: tuple[tuple[str, ...], ...]
    share: float  # entries wanted, as a share of the vocabulary
    most: int  # and at most this many
    by_count: bool = (
        False  # whether word counts, where there are any, rank better than the order here
    )


@dataclass(frozen=True)
class Sounds:
    """A language as the synthesiser says it."""

    voice: str  # eSpeak NG's name of the language
    fold: dict[
        str, str
    ]  # eSpeak mnemonic without stress -> phone of the lexicon, "" for none; a word with others is left out
    near: dict[str, tuple[str, ...]]  # phone -> mnemonics that a careless speaker may say instead
    vowels: frozenset[str]  # phones that are never left out at a word's border


@dataclass(frozen=True)
class Recipe:
    """A language, without anything that depends on a corpus' size."""

    language: str
    sounds: Sounds
    templates: tuple[str, ...]  # "word word {slot}", the frequent ones first
    slots: dict[str, Slot]
    counts: Callable[[int], Counts]  # n-gram counts, complete for at least that many leading words
    letters: str  # a regular expression that every word matches
    packages: tuple[str, ...]  # whose versions decide on the text


def arrows(text: str) -> dict[str, tuple[str, ...]]:
    """A table written as "key→value,value" parted by blanks; a key may have no value."""
    pairs = (part.partition("→") for part in text.split())
    return {key: tuple(values.split(",")) if values else () for key, _, values in pairs}


def single(words) -> tuple[tuple[str], ...]:
    """Entries of one form each, without repetitions."""
    return tuple((word,) for word in dict.fromkeys(words))


def split_lines(text: str) -> tuple[str, ...]:
    """The non-empty lines, or the parts between bars, of a block of text."""
    return tuple(part.strip() for part in re.split(r"[|\n]", text) if part.strip())
