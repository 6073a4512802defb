"""What makes one synthetic language: words, templates and the sounds of a voice."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from workbench.corpus.synthesis.ngrams import Counts

SLOT = re.compile(r"\{(\w+)\}")

SlotEntry = tuple[str, ...]
"""What may fill a slot: its form for each grammatical case, of one or more words each."""


@dataclass(frozen=True)
class Slot:
    """The entries that may fill one slot of templates, the most likely first."""

    entries: tuple[SlotEntry, ...]
    share: float  # entries wanted, as a share of the vocabulary
    most: int  # and at most this many
    by_count: bool = False  # whether counts of words, if there are any, give a better order


class SlotUse(NamedTuple):
    """A slot in a template: its name, and the form of its entry."""

    name: str
    form: int


@dataclass(frozen=True)
class Sounds:
    """A language as the synthesiser speaks it."""

    voice: str  # eSpeak NG's name of the language
    fold: dict[str, str]
    """From eSpeak's mnemonic without stress to the phone of the lexicon, "" if it makes none.

    A word with any other mnemonic is not used.
    """
    near: dict[str, tuple[str, ...]]  # from a phone to mnemonics that a careless speaker may say
    vowels: frozenset[str]  # phones that are never left out at the border of a word


@dataclass(frozen=True)
class Recipe:
    """A language, without anything that depends on the size of a corpus."""

    language: str
    sounds: Sounds
    templates: tuple[str, ...]  # "word word {slot}", the frequent ones first
    slots: dict[str, Slot]
    read_counts: Callable[[int], Counts]  # n-grams, complete for at least that many leading words
    letters: str  # a regular expression that every word matches
    packages: tuple[str, ...]  # whose versions decide on the text


def parse_slot(name: str) -> SlotUse:
    """Return which slot and form ``name`` in braces stands for: "town1" is form 1 of "town"."""
    slot = name.rstrip("1")
    return SlotUse(slot, int(slot != name))


def parse_arrows(text: str) -> dict[str, tuple[str, ...]]:
    """Return the table in ``text``, "key→value,value key→value ..."; a key may have no value."""
    table: dict[str, tuple[str, ...]] = {}
    for part in text.split():
        key, _, values = part.partition("→")
        table[key] = tuple(values.split(",")) if values else ()
    return table


def single_forms(words: Iterable[str]) -> tuple[SlotEntry, ...]:
    """Return entries of one form each, without repetitions."""
    return tuple((word,) for word in dict.fromkeys(words))


def split_lines(text: str) -> tuple[str, ...]:
    """Return the parts of ``text`` between line ends and bars that are not empty."""
    parts = (part.strip() for part in re.split(r"[|\n]", text))
    return tuple(part for part in parts if part)
