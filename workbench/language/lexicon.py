"""The lexicon: words, phones, and the phones that each word is made of.

A file has one pronunciation a line, ``word phone...`` (lexicon.txt) or ``word probability
phone...`` (lexiconp.txt); `dialects` says what else is understood. Probabilities lie in (0, 1] and
are kept as given. Usually the likeliest pronunciation of a word has 1 (max-normalised), so that a
word with many pronunciations is not punished for it. Silence is no word; it is phone 0 in every
lexicon.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from workbench.language.dialects import (
    LexiconEntry,
    MixedColumns,
    count_columns,
    strip_remarks,
    strip_variants,
)
from workbench.language.text import iter_lines, raise_faults
from workbench.settings import UserError
from workbench.storage.files import write_file

NO_WORD = "<eps>"
SILENCE = "SIL"
SILENCE_PHONES = frozenset({"SIL", "sil", "Sil", "SP", "sp"})
NO_WORDS = frozenset(
    {"<eps>", "<s>", "</s>", "<sil>", "<SIL>", "!SIL", "!sil", "<silence>", "<SILENCE>"}
)
SILENT_WORDS = NO_WORDS - {NO_WORD} | SILENCE_PHONES
"""What stands for silence, or for the ends of a sentence, in transcripts."""

DISAMBIGUATION = re.compile(r"#\d+")
INVISIBLE = ("Cc", "Zs", "Zl", "Zp")  # Unicode categories: control characters and separators
WEIGHTED_PREFIX = "lexiconp."  # files so called have probabilities


@dataclass(frozen=True)
class Pronunciation:
    """One way to say a word: ids into the lexicon's words and phones, and a log probability.

    The log probability is natural and at most 0.
    """

    word: int
    phones: tuple[int, ...]
    log_probability: float


@dataclass(frozen=True)
class Lexicon:
    """Words (0: "<eps>", no word), phones (0: "SIL"), and pronunciations in the order of words.

    ``silent``: what stands for silence in transcripts, and is no word. Raises ValueError if words,
    phones and pronunciations do not fit together.
    """

    words: tuple[str, ...]
    phones: tuple[str, ...]
    pronunciations: tuple[Pronunciation, ...]
    silent: frozenset[str] = field(default=SILENT_WORDS, compare=False)

    def __post_init__(self) -> None:
        if self.words[:1] != (NO_WORD,) or self.phones[:1] != (SILENCE,):
            raise ValueError(f"word 0 must be {NO_WORD} and phone 0 {SILENCE}")
        if len(set(self.words)) != len(self.words) or len(set(self.phones)) != len(self.phones):
            raise ValueError("a word or a phone occurs twice")

        words = [p.word for p in self.pronunciations]
        if words != sorted(words) or set(words) != set(range(1, len(self.words))):
            raise ValueError("pronunciations must be in order of their words and miss none")
        known = frozenset(range(1, len(self.phones)))
        if not all(p.phones and known.issuperset(p.phones) for p in self.pronunciations):
            raise ValueError("a pronunciation is empty, or has a phone that is silence or unknown")

    def word_id(self, word: str) -> int:
        """Return the id of a word in form NFC; KeyError if it is not in the lexicon."""
        return self._ids[word]

    def of(self, word_id: int) -> tuple[Pronunciation, ...]:
        """Return all pronunciations of a word, in the order of the file; none for word 0."""
        return self.pronunciations[self._first[word_id] : self._first[word_id + 1]]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _first(self) -> list[int]:
        """The index of the first pronunciation of each word, and the number of pronunciations."""
        first = [0] * (len(self.words) + 1)
        for p in self.pronunciations:
            first[p.word + 1] += 1
        for i in range(len(self.words)):
            first[i + 1] += first[i]
        return first


class _Spelling(NamedTuple):
    """A word and the phones of one of its pronunciations."""

    word: str
    phones: tuple[str, ...]


def read_lexicon(path: Path, phones: Sequence[str] | None = None) -> Lexicon:
    """Return the lexicon in a file, or in a folder's lexiconp.txt or lexicon.txt.

    Entries of silence, remarks and the marks of variants are dropped. Words are numbered as they
    first occur, phones alphabetically after SIL. ``phones``: take this inventory instead (a
    model's, beginning with SIL).

    Raises a UserError that lists every fault with its line if a line has no phones, a probability
    outside (0, 1], silence or a disambiguation symbol inside a word, an unknown phone, occurs
    twice, is not UTF-8, or has numbers among its phones where other lines have none.
    """
    path = Path(path)
    if path.is_dir():
        with_probabilities = path / "lexiconp.txt"
        path = with_probabilities if with_probabilities.exists() else path / "lexicon.txt"
    faults: list[str] = []
    entries = _read_entries(path, faults)
    weighted = path.name.startswith(WEIGHTED_PREFIX)
    columns = 1 if weighted else _number_columns(path, entries)

    line_of: dict[_Spelling, int] = {}
    log_probability: dict[_Spelling, float] = {}
    silent = set(SILENT_WORDS)
    known = None if phones is None else frozenset(phones)
    for entry in entries:
        spelling, probability = _parse(entry, columns)
        if _is_silence(spelling):
            silent |= {spelling.word} - {NO_WORD}
            continue
        found = _faults(spelling, probability, known)
        if not found and spelling in line_of:
            line = line_of[spelling]
            found = [f"{spelling.word!r} is listed with the same phones on line {line}"]
        if found:
            faults += [f"{path}:{entry.line}: {fault}" for fault in found]
        else:
            line_of[spelling] = entry.line
            log_probability[spelling] = math.log(float(probability))

    # Lines that are not UTF-8 were found first, while the file was read.
    line_at = len(f"{path}:")
    faults.sort(key=lambda fault: int(fault[line_at:].partition(":")[0]))
    raise_faults(faults, path)
    if not log_probability:
        raise UserError(f"{path}: no words")
    return _build(log_probability, phones, silent)


def _read_entries(path: Path, faults: list[str]) -> list[LexiconEntry]:
    """The lines that have a word, without remarks and marks of variants."""
    entries = []
    for number, content in iter_lines(path, faults):
        fields = strip_remarks(content)
        if fields:
            entries.append(LexiconEntry(number, fields[0], tuple(fields[1:])))
    return strip_variants(entries)


def _number_columns(path: Path, entries: list[LexiconEntry]) -> int:
    """How many columns of numbers stand before the phones; raises UserError if lines differ."""
    spoken = [entry for entry in entries if not _is_silence(_Spelling(entry.word, entry.fields))]
    try:
        return count_columns(spoken)
    except MixedColumns as error:
        raise UserError(
            f"{path}:{error.lines[0]}: {len(error.lines)} lines have numbers where phones should "
            "be; give every line its phones alone, one probability before them, or a probability "
            "and three numbers about silence"
        ) from None


def _parse(entry: LexiconEntry, columns: int) -> tuple[_Spelling, str]:
    """Return the spelling of an entry and its probability as text, empty if it is missing.

    ``columns``: how many fields are numbers; the first of them is the probability.
    """
    spelling = _Spelling(entry.word, entry.fields[columns:])
    if not columns:
        return spelling, "1"
    return spelling, entry.fields[0] if entry.fields else ""


def _is_silence(spelling: _Spelling) -> bool:
    """Return whether a line only states how silence is written; graphs add silence themselves."""
    word, phones = spelling
    return word in NO_WORDS or (bool(phones) and SILENCE_PHONES.issuperset(phones))


def _faults(spelling: _Spelling, probability: str, known: frozenset[str] | None) -> list[str]:
    """Return the faults of a line, in words; ``known``: the phones that are allowed."""
    word, phones = spelling
    faults = []
    if DISAMBIGUATION.fullmatch(word):
        faults.append(f"the word {word} is a disambiguation symbol")
    hidden = [f"U+{ord(c):04X}" for c in word if unicodedata.category(c) in INVISIBLE]
    if hidden:
        faults.append(f"{word!r} contains the invisible character {', '.join(hidden)}")
    if not _is_probability(probability):
        faults.append(f"{word!r}: {probability!r} is not a probability in (0, 1]")

    if not phones:
        faults.append(f"{word!r} has no phones")
    if SILENCE_PHONES.intersection(phones):
        faults.append(f"{word!r} has silence among its phones")
    clashes = [x for x in phones if DISAMBIGUATION.fullmatch(x) or x == NO_WORD]
    if clashes:
        listed = ", ".join(clashes)
        faults.append(f"{word!r} has {listed} among its phones, kept for disambiguation")
    elif known is not None and not known.issuperset(phones):
        unknown = ", ".join(sorted(set(phones) - known))
        faults.append(f"{word!r} has unknown phones: {unknown}")

    return faults


def _is_probability(text: str) -> bool:
    """Return whether a text is a number in (0, 1]."""
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False


def _build(
    log_probability: dict[_Spelling, float], phones: Sequence[str] | None, silent: set[str]
) -> Lexicon:
    """Return the lexicon of these spellings in this order, over ``phones`` or those that occur."""
    words = tuple(dict.fromkeys([NO_WORD, *(spelling.word for spelling in log_probability)]))
    if phones is None:
        used = {phone for spelling in log_probability for phone in spelling.phones}
        phones = (SILENCE, *sorted(used))

    word_ids = {word: i for i, word in enumerate(words)}
    phone_ids = {phone: i for i, phone in enumerate(phones)}
    pronunciations = [
        Pronunciation(word_ids[word], tuple(phone_ids[phone] for phone in spelt), log_p)
        for (word, spelt), log_p in log_probability.items()
    ]
    pronunciations.sort(key=lambda p: p.word)
    return Lexicon(words, tuple(phones), tuple(pronunciations), frozenset(silent - set(words)))


def write_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Write lexiconp.txt if the file is called so, else lexicon.txt.

    Reading the file gives an equal lexicon, except for phones that no word uses: give these to
    ``read_lexicon``. Raises ValueError if the format would lose probabilities.
    """
    path = Path(path)
    weighted = path.name.startswith(WEIGHTED_PREFIX)
    lines = []
    for p in lexicon.pronunciations:
        if p.log_probability != 0 and not weighted:
            raise ValueError(f"{path.name} has no place for probabilities: call it lexiconp.txt")
        fields = [lexicon.words[p.word]]
        if weighted:
            fields.append(_shortest_decimal(p.log_probability))
        fields += [lexicon.phones[x] for x in p.phones]
        lines.append(" ".join(fields) + "\n")

    write_file(path, "".join(lines).encode())


def _shortest_decimal(log_probability: float) -> str:
    """Return the shortest decimal whose logarithm is exactly this, so that nothing is lost."""
    p = math.exp(log_probability)
    for digits in range(1, 18):
        text = f"{p:.{digits}g}"
        if 0 < float(text) <= 1 and math.log(float(text)) == log_probability:
            return text
    return repr(p)
