"""From the synthesiser's mnemonics to phones, and how careless speakers depart from them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.corpus.synthesis.recipe import Sounds

STRESS = re.compile(r"^[',%=]+")
PAUSES = frozenset(("", "_", ":", "|", "!", "_:", "_|", "_!", "||", "_^_", "_::", "|-", "_;_"))
REPLACED = 0.7  # share of the wrong phones that are replaced; the others are left out

Mnemonics = Sequence[str]
"""The sounds of one word, as eSpeak NG writes them, with pauses and marks of stress."""


@dataclass(frozen=True)
class Spelling:
    """Text for the synthesiser, and to which phone of the lexicon each sound belongs."""

    text: str  # "[[m|n|e]] [[m|o]]"
    owner: tuple[int, ...]  # for each sound that belongs to a phone, the number of that phone
    phones: tuple[str, ...]  # canonical phones of the utterance that are not left out


def strip_stress(mnemonic: str) -> str:
    """Return ``mnemonic`` without its marks of stress; "" for a pause."""
    mnemonic = STRESS.sub("", mnemonic)
    return "" if mnemonic in PAUSES else mnemonic


def drop_pauses(mnemonics: Iterable[str]) -> list[str]:
    """Return ``mnemonics`` without the pauses."""
    return [mnemonic for mnemonic in mnemonics if strip_stress(mnemonic)]


def fold_word(mnemonics: Mnemonics, fold: dict[str, str]) -> tuple[str, ...] | None:
    """Return the phones of one word, or None if it has no phone or a sound that is not in ``fold``.

    A run of the same phone becomes one, because a long s is two sounds.
    """
    phones: list[str] = []
    for mnemonic in drop_pauses(mnemonics):
        phone = fold.get(strip_stress(mnemonic))
        if phone is None:
            return None
        if phone and phones[-1:] != [phone]:
            phones.append(phone)
    return tuple(phones) or None


def spell(
    words: Iterable[Mnemonics], sounds: Sounds, share: float, stream: np.random.Generator
) -> Spelling:
    """Return ``words`` as text for the synthesiser, with a ``share`` of their phones said wrongly.

    A wrong phone is replaced by a near one or left out. A replaced phone keeps its canonical name,
    which is what the lexicon has; a phone that is left out has no time. Stressed sounds and vowels
    at the border of a word are never left out, nor is any sound of a word that has two or fewer.
    """
    texts: list[str] = []
    owner: list[int] = []
    phones: list[str] = []

    for word in words:
        spoken: list[str] = []
        previous = None  # canonical phone before, within the word
        kept = drop_pauses(word)
        for i, mnemonic in enumerate(kept):
            phone = sounds.fold[strip_stress(mnemonic)]
            u = stream.random()

            border_vowel = phone in sounds.vowels and i in (0, len(kept) - 1)
            may_be_left_out = len(kept) > 2 and not STRESS.match(mnemonic) and not border_vowel
            if REPLACED * share <= u < share and may_be_left_out:
                continue

            if phone and phone != previous:
                phones.append(phone)
                previous = phone
            if u < REPLACED * share and phone in sounds.near:
                mnemonic = _replace_sound(mnemonic, sounds.near[phone], stream)
            spoken.append(mnemonic)
            if phone:
                owner.append(len(phones) - 1)
        texts.append("[[" + "|".join(spoken) + "]]")

    return Spelling(" ".join(texts), tuple(owner), tuple(phones))


def _replace_sound(mnemonic: str, others: Sequence[str], stream: np.random.Generator) -> str:
    """Return one of ``others`` with the stress of ``mnemonic``."""
    stress = STRESS.match(mnemonic)
    other = others[int(stream.integers(len(others)))]
    return (stress[0] if stress else "") + other
