"""From the synthesiser's mnemonics to the lexicon's phones, and how careless speakers depart from them."""

import re
from dataclasses import dataclass

import numpy as np

STRESS = re.compile(r"^[',%=]+")
PAUSES = frozenset(("", "_", ":", "|", "!", "_:", "_|", "_!", "||", "_^_", "_::", "|-", "_;_"))
REPLACED = 0.7  # of the phones that are said wrongly; the rest is left out


@dataclass(frozen=True)
class Spelling:
    """What the synthesiser is asked to say, and which phone of the lexicon its sounds belong to."""

    text: str  # "[[m|n|e]] [[m|o]]"
    owner: tuple[int, ...]  # of each sound that belongs to a phone: the number of that phone
    phones: tuple[str, ...]  # canonical phones of the utterance that are not left out


def bare(mnemonic: str) -> str:
    """A mnemonic without its marks of stress; "" for a pause."""
    mnemonic = STRESS.sub("", mnemonic)
    return "" if mnemonic in PAUSES else mnemonic


def sounds(mnemonics) -> list[str]:
    """The mnemonics less the pauses."""
    return [m for m in mnemonics if bare(m)]


def spoken(mnemonics, fold: dict[str, str]) -> tuple[str, ...] | None:
    """Phones of one word, runs of the same one joined (a long s is two sounds); None if a sound is unknown."""
    phones: list[str] = []
    for mnemonic in sounds(mnemonics):
        phone = fold.get(bare(mnemonic))
        if phone is None:
            return None
        if phone and phones[-1:] != [phone]:
            phones.append(phone)
    return tuple(phones) or None


def spell(
    words,
    fold: dict[str, str],
    near: dict[str, tuple[str, ...]],
    vowels,
    share: float,
    rng: np.random.Generator,
) -> Spelling:
    """Words as mnemonics, with a ``share`` of their phones replaced by a near one or left out.

    A replaced phone keeps its canonical name, since that is what the lexicon will say; one left out has no time. A word
    keeps its stressed sounds, its border vowels, and at least three sounds.
    """
    texts, owner, phones = [], [], []
    for word in words:
        said: list[str] = []
        last = None  # canonical phone before, within the word
        kept = sounds(word)
        for i, mnemonic in enumerate(kept):
            phone, u = fold[bare(mnemonic)], rng.random()
            inner = phone not in vowels or 0 < i < len(kept) - 1
            if (
                REPLACED * share <= u < share
                and len(kept) > 2
                and not STRESS.match(mnemonic)
                and inner
            ):
                continue
            if phone and phone != last:
                phones.append(phone)
                last = phone
            if u < REPLACED * share and phone in near:
                others = near[phone]
                mnemonic = (STRESS.match(mnemonic) or [""])[0] + others[rng.integers(len(others))]
            said.append(mnemonic)
            if phone:
                owner.append(len(phones) - 1)
        texts.append("[[" + "|".join(said) + "]]")
    return Spelling(" ".join(texts), tuple(owner), tuple(phones))
