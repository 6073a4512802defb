"""ARPA files of n-gram models (log10; ``.gz`` as well), in and out.

The file's vocabulary may differ from ours. Its other words are dropped with all their n-grams, which leaves
distributions that sum to less than one; our words that it lacks share the mass of its <unk> equally, or, if it has
none, cannot be said. All of that is counted in the model's notes, and nothing is renormalised.
"""

import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path

import numpy as np

from workbench.language.backoff import BEGIN, END, Level, NGram
from workbench.language.text import refuse, rows
from workbench.settings import UserError

LOG_10 = math.log(10)
NEVER = -99.0  # how ARPA files write the logarithm of 0
ROUNDING = 1e-6  # log10 by which tools overshoot probability 1
UNKNOWN = ("<unk>", "<UNK>")


@dataclass
class _Reader:
    """The rest of a file, and what has been left out of it."""

    path: Path
    rows: Iterator[tuple[int, list[str]]]
    number: int = 0
    unknown: float = -math.inf
    outside: set[str] = field(default_factory=set)
    dropped: int = 0

    def next(self) -> list[str]:
        """The fields of the next line that has any."""
        for number, fields in self.rows:
            self.number = number
            if fields:
                return fields
        raise self.fault("the file ends early")

    def fault(self, text: str, number: int | None = None) -> UserError:
        return UserError(f"{self.path}:{self.number if number is None else number}: {text}")


@dataclass(frozen=True)
class _Section:
    """The n-grams of one length as listed, in natural logarithms: word ids [n-grams, length], and their lines."""

    ids: np.ndarray
    log_p: np.ndarray
    backoff: np.ndarray
    line: np.ndarray


def read_arpa(path: Path, words: Sequence[str]) -> NGram:
    """The model in a file, over a lexicon's ``words`` (words[0]: "<eps>").

    UserError with the line's number if the file is malformed: sections or counts that do not fit, what is no number,
    a positive log probability, an n-gram listed twice or without its prefix, no </s>, or a line that is not UTF-8.
    """
    wrong: list[str] = []
    reader = _Reader(Path(path), rows(Path(path), wrong))
    ids = {word: i for i, word in enumerate([*words, END, BEGIN]) if i}
    try:
        counts = _header(reader)
        sections = [_section(reader, n, counts, ids) for n in range(1, len(counts) + 1)]
    except UserError:
        refuse(
            wrong, reader.path
        )  # a line that cannot be read upsets the counts, so it is the better reason
        raise
    refuse(wrong, reader.path)
    single, notes = _singles(reader, sections[0], ids)
    levels, keys = [single], [np.arange(len(single.word))]
    for section in sections[1:]:
        level, key = _level(reader, section, keys, listed=sections[0].ids[:, 0])
        levels.append(level)
        keys.append(key)
    if reader.dropped:
        notes.append(
            f"{reader.dropped} n-grams dropped: {len(reader.outside)} of their words are not in the vocabulary"
        )
    return NGram((*words, END, BEGIN), tuple(levels), tuple(notes))


def _header(reader: _Reader) -> list[int]:
    """How many n-grams of each length the file announces; reads on to the first section."""
    while reader.next() != ["\\data\\"]:
        pass  # anything may stand before the data
    counts: list[int] = []
    while (fields := reader.next())[0] == "ngram":
        length, _, count = "".join(fields[1:]).partition("=")
        if length != str(len(counts) + 1) or not count.isdecimal():
            raise reader.fault(
                f"expected ngram {len(counts) + 1}=COUNT, found {' '.join(fields)!r}"
            )
        counts.append(int(count))
    if not counts or fields != ["\\1-grams:"]:
        raise reader.fault(f"expected \\1-grams:, found {' '.join(fields)!r}")
    return counts


def _section(reader: _Reader, n: int, counts: list[int], ids: dict[str, int]) -> _Section:
    """The listed n-grams of length ``n`` in our vocabulary; reads on to the next section or the end."""
    found, log_p, backoff, line, seen = [], [], [], [], 0
    while not (fields := reader.next())[0].startswith("\\"):
        seen += 1
        if len(fields) not in ((n + 1, n + 2) if n < len(counts) else (n + 1,)):
            raise reader.fault(
                f"expected a number, {n} words and perhaps a back-off weight, found {' '.join(fields)!r}"
            )
        p, weight = (
            _number(reader, fields[0], ROUNDING),
            _number(reader, (fields[n + 1 :] or ["0"])[0], math.inf),
        )
        gram = [ids.get(word) for word in fields[1 : n + 1]]
        if None not in gram:
            found.append(gram)
            log_p.append(min(p, 0.0))
            backoff.append(weight)
            line.append(reader.number)
            continue
        reader.dropped += 1
        reader.outside.update(word for word in fields[1 : n + 1] if word not in ids)
        if n == 1 and fields[1] in UNKNOWN:
            reader.unknown = p
    if seen != counts[n - 1]:
        raise reader.fault(f"{seen} {n}-grams listed, {counts[n - 1]} announced")
    expected = f"\\{n + 1}-grams:" if n < len(counts) else "\\end\\"
    if fields != [expected]:
        raise reader.fault(f"expected {expected}, found {' '.join(fields)!r}")
    return _Section(
        np.array(found, np.int64).reshape(-1, n),
        np.array(log_p),
        np.array(backoff),
        np.array(line, int),
    )


def _number(reader: _Reader, text: str, most: float) -> float:
    """A log10 as natural logarithm."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or value > most or value == math.inf:
        raise reader.fault(
            f"{text!r} is not a logarithm{' of a probability' if most < math.inf else ''}"
        )
    return value * LOG_10 if value > NEVER else -math.inf


def _singles(reader: _Reader, section: _Section, ids: dict[str, int]) -> tuple[Level, list[str]]:
    """The unigrams, for every word of ours, and notes on those that the file lacks."""
    size, word = len(ids) + 1, section.ids[:, 0]
    _refuse_twice(reader, section, word)
    log_p, backoff = np.full(size, -math.inf), np.zeros(size)
    log_p[word], backoff[word] = section.log_p, section.backoff
    if ids[END] not in word:
        raise reader.fault(f"no unigram {END}")
    missing = np.setdiff1d(np.arange(1, ids[END]), word)
    notes = []
    if len(missing) and reader.unknown > -math.inf:
        log_p[missing] = reader.unknown - math.log(len(missing))
        notes = [f"{len(missing)} words are not in the file and share the probability of its <unk>"]
    elif len(missing):
        notes = [f"{len(missing)} words are not in the file and cannot be said"]
    log_p[ids[BEGIN]] = -math.inf  # some tools list a probability that is never used
    return _arrays(np.array([0, size]), np.arange(size), log_p, backoff), notes


def _level(
    reader: _Reader, section: _Section, keys: list[np.ndarray], listed: np.ndarray
) -> tuple[Level, np.ndarray]:
    """The trie's next level, and its n-grams' keys: place of the prefix times words, plus last word."""
    size, n = len(keys[0]), section.ids.shape[1]
    absent = ~np.isin(section.ids, listed)
    place = section.ids[:, 0]
    for known, word in zip(keys[1:], section.ids.T[1 : n - 1], strict=True):
        key = place * size + word
        place = np.searchsorted(known, key)
        absent[:, 0] |= np.append(known, -1)[place] != key
    if absent.any():
        raise reader.fault(
            "an n-gram without its prefix or its unigrams", section.line[absent.any(1)][0]
        )
    key = place * size + section.ids[:, -1]
    _refuse_twice(reader, section, key)
    order = np.argsort(key)
    first = np.searchsorted(place[order], np.arange(len(keys[-1]) + 1))
    level = _arrays(first, section.ids[order, -1], section.log_p[order], section.backoff[order])
    return level, key[order]


def _refuse_twice(reader: _Reader, section: _Section, key: np.ndarray) -> None:
    _, first = np.unique(key, return_index=True)
    if len(first) < len(key):
        twice = np.setdiff1d(np.arange(len(key)), first)[0]
        raise reader.fault("an n-gram that was listed before", section.line[twice])


def _arrays(first: np.ndarray, word: np.ndarray, log_p: np.ndarray, backoff: np.ndarray) -> Level:
    return Level(first, word.astype(np.int32), log_p.astype(np.float32), backoff.astype(np.float32))


def write_arpa(ngram: NGram, path: Path) -> None:
    """Writes a model so that ``read_arpa`` gives back the same numbers (nine digits determine a float32)."""
    path = Path(path)
    with (
        gzip.open(path, "wt", encoding="utf-8")
        if path.suffix == ".gz"
        else open(path, "w", encoding="utf-8") as file
    ):
        sizes = [
            len(level.word) - (n == 0) for n, level in enumerate(ngram.levels)
        ]  # <eps> is not listed
        file.write(
            "".join(["\\data\\\n", *(f"ngram {n}={size}\n" for n, size in enumerate(sizes, 1))])
        )
        texts = [""]
        for n, level in enumerate(ngram.levels, 1):
            prefixes = np.repeat(np.arange(len(level.first) - 1), np.diff(level.first)).tolist()
            texts = [
                f"{texts[p]} {ngram.words[w]}".lstrip()
                for p, w in zip(prefixes, level.word.tolist(), strict=True)
            ]
            file.write(f"\n\\{n}-grams:\n")
            lines = starmap(
                _line, zip(level.log_p.tolist(), texts, level.backoff.tolist(), strict=True)
            )
            file.writelines(
                line for text, line in zip(texts, lines, strict=True) if text != ngram.words[0]
            )
        file.write("\n\\end\\\n")


def _line(log_p: float, text: str, backoff: float) -> str:
    weight = "" if backoff == 0 else f"\t{_digits(backoff)}"
    return f"{_digits(log_p)}\t{text}{weight}\n"


def _digits(value: float) -> str:
    return f"{max(value / LOG_10, NEVER):.9g}"
