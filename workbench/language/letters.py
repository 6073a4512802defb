"""A lexicon without sounds: each word is said as its letters.

For languages that are written much as they are spoken this comes near to a lexicon of phones. A
letter is a character in lower case with the accents that Unicode could not join to it. Vowel signs
are letters of their own; what has no sound, punctuation and the sign that mutes a vowel, is left
out. Tags of noise, such as <noise> or [laughter], have one phone of noise.
"""

import unicodedata
from collections.abc import Iterable

from workbench.language.lexicon import NO_WORD, SILENCE, SILENT_WORDS, Lexicon, Pronunciation

NOISE = "NSN"
BRACKETS = ("<>", "[]", "()", "{}")

NUKTA = 7
VIRAMA = 9
FIRST_ACCENT = 200
"""Unicode's combining classes: accents above and below letters have 200 and more."""


def spell_words(words: Iterable[str]) -> Lexicon:
    """Return the lexicon of these words in form NFC by their letters.

    Words without any letter, such as a dash, are left out; ValueError if no word is left.
    """
    spelt = {word: spell(word) for word in sorted(set(words) - {NO_WORD} - SILENT_WORDS)}
    spelt = {word: letters for word, letters in spelt.items() if letters}
    if not spelt:
        raise ValueError("no word has letters")

    phones = (SILENCE, *sorted({letter for letters in spelt.values() for letter in letters}))
    ids = {phone: i for i, phone in enumerate(phones)}
    pronunciations = [
        Pronunciation(word, tuple(ids[letter] for letter in letters), 0.0)
        for word, letters in enumerate(spelt.values(), 1)
    ]
    return Lexicon((NO_WORD, *spelt), phones, tuple(pronunciations))


def spell(word: str) -> tuple[str, ...]:
    """Return the letters of a word; none if nothing in it has a sound."""
    if word[:1] + word[-1:] in BRACKETS:
        return (NOISE,)

    letters: list[str] = []
    for character in word.lower():
        category = unicodedata.category(character)
        if _is_accent(character):
            letters[-1:] = [letter + character for letter in letters[-1:]]
        elif category[0] in "LN" or (category[0] == "M" and not _is_mute(character)):
            letters.append(character)
    return tuple(letters)


def _is_accent(character: str) -> bool:
    """Whether a character changes the one before it, and has no sound of its own."""
    combining = unicodedata.combining(character)
    return combining == NUKTA or combining >= FIRST_ACCENT


def _is_mute(character: str) -> bool:
    """Whether a mark only says that no vowel follows."""
    return unicodedata.combining(character) == VIRAMA
