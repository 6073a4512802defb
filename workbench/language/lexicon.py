"""The lexicon: words, phones, and which phones a word is made of.

A file has one pronunciation a line, ``word phone...`` (lexicon.txt) or ``word probability phone...`` (lexiconp.txt).
Probabilities lie in (0, 1] and are kept as given: usually the likeliest pronunciation of a word has 1 (max-normalised),
so that a word with many pronunciations is not punished for it. Silence is no word; it is phone 0 in every lexicon.
"""

import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workbench.language.text import refuse, rows
from workbench.settings import UserError

NO_WORD, SILENCE = "<eps>", "SIL"
SILENCE_PHONES = frozenset({"SIL", "sil", "Sil", "SP", "sp"})
NO_WORDS = frozenset(
    {"<eps>", "<s>", "</s>", "<sil>", "<SIL>", "!SIL", "!sil", "<silence>", "<SILENCE>"}
)
DISAMBIGUATION = re.compile(r"#\d+")


@dataclass(frozen=True)
class Pronunciation:
    """One way to say a word: ids into the lexicon's words and phones, and a natural log probability (at most 0)."""

    word: int
    phones: tuple[int, ...]
    log_probability: float


@dataclass(frozen=True)
class Lexicon:
    """Words (0: "<eps>", no word), phones (0: "SIL"), and pronunciations in ascending order of their words.

    Raises ValueError if these do not fit together.
    """

    words: tuple[str, ...]
    phones: tuple[str, ...]
    pronunciations: tuple[Pronunciation, ...]

    def __post_init__(self) -> None:
        if self.words[:1] != (NO_WORD,) or self.phones[:1] != (SILENCE,):
            raise ValueError(f"word 0 must be {NO_WORD} and phone 0 {SILENCE}")
        if len(set(self.words)) != len(self.words) or len(set(self.phones)) != len(self.phones):
            raise ValueError("a word or a phone occurs twice")
        order = [p.word for p in self.pronunciations]
        if order != sorted(order) or set(order) != set(range(1, len(self.words))):
            raise ValueError("pronunciations must be in order of their words and miss none")
        if any(
            not p.phones or not all(0 < x < len(self.phones) for x in p.phones)
            for p in self.pronunciations
        ):
            raise ValueError("a pronunciation is empty, or has a phone that is silence or unknown")

    def word_id(self, word: str) -> int:
        """The id of a word in form NFC; KeyError if it is not in the lexicon."""
        return self._ids[word]

    def of(self, word_id: int) -> tuple[Pronunciation, ...]:
        """All pronunciations of a word, in the order of the file; none for word 0."""
        return self.pronunciations[self._first[word_id] : self._first[word_id + 1]]

    def subset(self, words: Collection[str]) -> "Lexicon":
        """The lexicon of these words alone, in the same order, with the same phones; KeyError if one is missing."""
        kept = sorted({self.word_id(word) for word in words} - {0})
        return Lexicon(
            (NO_WORD, *(self.words[i] for i in kept)),
            self.phones,
            tuple(
                Pronunciation(n, p.phones, p.log_probability)
                for n, i in enumerate(kept, 1)
                for p in self.of(i)
            ),
        )

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _first(self) -> list[int]:
        first = [0] * (len(self.words) + 1)
        for p in self.pronunciations:
            first[p.word + 1] += 1
        for i in range(len(self.words)):
            first[i + 1] += first[i]
        return first


def read_lexicon(path: Path, phones: Sequence[str] | None = None) -> Lexicon:
    """The lexicon in a file, or in a folder's lexiconp.txt or lexicon.txt; silence words are dropped.

    Words are numbered as they first occur, phones alphabetically after SIL. ``phones``: take this inventory instead (a
    model's, starting with SIL). UserError, listing every fault with its line, if a line has no phones, a probability
    outside (0, 1], silence or a disambiguation symbol inside a word, an unknown phone, occurs twice, or is not UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        path = path / ("lexiconp.txt" if (path / "lexiconp.txt").exists() else "lexicon.txt")
    wrong: list[str] = []
    entries: dict[tuple[str, tuple[str, ...]], tuple[int, float]] = {}
    known = None if phones is None else set(phones)
    for number, fields in rows(path, wrong):
        if not fields:
            continue
        word, probability, said = _split(fields, weighted=path.name.startswith("lexiconp."))
        if word in NO_WORDS or (said and SILENCE_PHONES.issuperset(said)):
            continue  # only says how silence is written; silence is added where graphs are made
        faults = _faults(word, probability, said, known)
        if not faults and (word, said) in entries:
            faults = [f"{word!r} is listed with the same phones on line {entries[word, said][0]}"]
        if faults:
            wrong += [f"{path}:{number}: {fault}" for fault in faults]
        else:
            entries[word, said] = number, math.log(float(probability))
    refuse(wrong, path)
    if not entries:
        raise UserError(f"{path}: no words")
    return _build([(word, said, log_p) for (word, said), (_, log_p) in entries.items()], phones)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split(fields: list[str], weighted: bool) -> tuple[str, str, tuple[str, ...]]:
    """Word, probability (as text) and phones of a line."""
    if weighted:
        return fields[0], (fields[1:2] or [""])[0], tuple(fields[2:])
    return fields[0], "1", tuple(fields[1:])


def _faults(
    word: str, probability: str, said: tuple[str, ...], known: set[str] | None
) -> list[str]:
    faults = []
    if DISAMBIGUATION.fullmatch(word):
        faults.append(f"the word {word} is a disambiguation symbol")
    hidden = [
        f"U+{ord(c):04X}" for c in word if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp")
    ]
    if hidden:
        faults.append(f"{word!r} contains the invisible character {', '.join(hidden)}")
    if not (_is_number(probability) and 0 < float(probability) <= 1):
        faults.append(f"{word!r}: {probability!r} is not a probability in (0, 1]")
    if not said:
        faults.append(f"{word!r} has no phones")
    if SILENCE_PHONES.intersection(said):
        faults.append(f"{word!r} has silence among its phones")
    clashes = [phone for phone in said if DISAMBIGUATION.fullmatch(phone) or phone == NO_WORD]
    if clashes:
        faults.append(
            f"{word!r} has {', '.join(clashes)} among its phones, kept for disambiguation"
        )
    elif known is not None and not known.issuperset(said):
        faults.append(f"{word!r} has unknown phones: {', '.join(sorted(set(said) - known))}")
    return faults


def _build(
    entries: list[tuple[str, tuple[str, ...], float]], phones: Sequence[str] | None
) -> Lexicon:
    words = tuple(dict.fromkeys([NO_WORD, *(word for word, _, _ in entries)]))
    inventory = (
        tuple(phones)
        if phones is not None
        else (SILENCE, *sorted({x for _, said, _ in entries for x in said}))
    )
    word_ids = {word: i for i, word in enumerate(words)}
    phone_ids = {phone: i for i, phone in enumerate(inventory)}
    found = [
        Pronunciation(word_ids[word], tuple(phone_ids[x] for x in said), log_p)
        for word, said, log_p in entries
    ]
    return Lexicon(words, inventory, tuple(sorted(found, key=lambda p: p.word)))


def write_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Writes lexiconp.txt if the file is called so, else lexicon.txt; reading it back gives an equal lexicon.

    Phones that no word uses are not in the file: give them to ``read_lexicon``. ValueError if probabilities would be
    lost.
    """
    path = Path(path)
    weighted = path.name.startswith("lexiconp.")
    lines = []
    for p in lexicon.pronunciations:
        if p.log_probability != 0 and not weighted:
            raise ValueError(f"{path.name} has no place for probabilities: call it lexiconp.txt")
        probability = [_shortest(p.log_probability)] if weighted else []
        lines.append(
            " ".join([lexicon.words[p.word], *probability, *(lexicon.phones[x] for x in p.phones)])
        )
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def _shortest(log_probability: float) -> str:
    """The shortest decimal whose logarithm is exactly this one, so that files make the round trip."""
    p = math.exp(log_probability)
    tries = (f"{p:.{digits}g}" for digits in range(1, 18))
    return next(
        (
            text
            for text in tries
            if 0 < float(text) <= 1 and math.log(float(text)) == log_probability
        ),
        repr(p),
    )
