"""ARPA files of n-gram models, read and written (base-10 logarithms; ``.gz`` as well).

The file's vocabulary may differ from the lexicon's. Words outside the lexicon are dropped with all
their n-grams, which leaves distributions that sum to less than one. Words of the lexicon that the
file lacks share the probability of its <unk> equally; without <unk> they have probability 0. The
model's notes count all of these, and nothing is renormalised.
"""

import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbench.language.backoff import BEGIN, END, Level, NGram
from workbench.language.text import iter_lines, raise_faults
from workbench.settings import UserError
from workbench.storage.files import FileWriter, write_file

LOG_10 = math.log(10)
NEVER = -99.0  # how ARPA files write the logarithm of 0
OVERSHOOT = 1e-6  # log10 by which other tools may round a probability above 1
UNKNOWN = ("<unk>", "<UNK>")
DATA = "\\data\\"
FILE_END = "\\end\\"
FIELDS_SHOWN = 8  # of a line that is not what it should be
OUTSIDE = -1  # in place of the id of a word that is not in the lexicon


@dataclass
class _Reader:
    """The lines of a file that are still to be read, and what has been left out of it.

    ``number``: the last line read. ``unknown``: log p of <unk>. ``outside``: words of the file that
    the lexicon lacks. ``dropped``: how many n-grams have such a word.
    """

    path: Path
    lines: Iterator[tuple[int, list[str]]]
    number: int = 0
    unknown: float = -math.inf
    outside: set[str] = field(default_factory=set)
    dropped: int = 0

    def next_fields(self) -> list[str]:
        """Return the fields of the next line that has any; UserError at the end of the file."""
        for number, fields in self.lines:
            self.number = number
            if fields:
                return fields
        raise self.fault("the file ends early")

    def fault(self, text: str, number: int | None = None) -> UserError:
        """Return an error that names the file and a line, the last one read unless given."""
        return UserError(f"{self.path}:{self.number if number is None else number}: {text}")

    def drop(self, words: list[str], log_p: float, ids: dict[str, int]) -> None:
        """Count an n-gram that is left out because words of it are not among ``ids``."""
        self.dropped += 1
        self.outside.update(word for word in words if word not in ids)
        if len(words) == 1 and words[0] in UNKNOWN:
            self.unknown = log_p


@dataclass(frozen=True)
class _Section:
    """The listed n-grams of one length whose words are all in the lexicon, in natural logarithms.

    ``ids``: int64 [n-grams, length]. ``log_p``, ``backoff``: float64 [n-grams]. ``line``: the line
    of each, int64 [n-grams].
    """

    ids: np.ndarray
    log_p: np.ndarray
    backoff: np.ndarray
    line: np.ndarray


def read_arpa(path: Path, words: Sequence[str]) -> NGram:
    """Return the model in a file, over a lexicon's ``words`` (words[0]: "<eps>").

    Raises a UserError with the line's number if the file is malformed: sections or counts that do
    not fit, text in place of a number, a positive log probability, an n-gram listed twice or
    without its prefix, no </s>, or a line that is not UTF-8.
    """
    path = Path(path)
    faults: list[str] = []
    reader = _Reader(path, iter_lines(path, faults))
    ids = {word: i for i, word in enumerate([*words, END, BEGIN]) if i}
    try:
        counts = _read_header(reader)
        sections = [
            _read_section(reader, length, counts, ids) for length in range(1, len(counts) + 1)
        ]
    except UserError:
        # A line that cannot be decoded upsets the counts, so it is the better reason.
        raise_faults(faults, path)
        raise

    raise_faults(faults, path)

    unigrams, notes = _unigram_level(reader, sections[0], ids)
    levels = [unigrams]
    keys = [np.arange(len(unigrams.word))]
    listed = sections[0].ids[:, 0]
    for section in sections[1:]:
        level, key = _longer_level(reader, section, keys, listed)
        levels.append(level)
        keys.append(key)

    if reader.dropped:
        outside = f"{len(reader.outside)} of their words are not in the vocabulary"
        notes.append(f"{reader.dropped} n-grams dropped: {outside}")
    return NGram((*words, END, BEGIN), tuple(levels), tuple(notes))


def _read_header(reader: _Reader) -> list[int]:
    """Return how many n-grams of each length the file announces; reads up to the first section."""
    while reader.next_fields() != [DATA]:
        pass  # anything may precede the data

    counts: list[int] = []
    fields = reader.next_fields()
    while fields[0] == "ngram":
        length, _, count = "".join(fields[1:]).partition("=")
        if length != str(len(counts) + 1) or not count.isdecimal():
            found = " ".join(fields)
            raise reader.fault(f"expected ngram {len(counts) + 1}=COUNT, found {found!r}")
        counts.append(int(count))
        fields = reader.next_fields()

    if not counts:
        raise reader.fault(f"expected ngram 1=COUNT, found {_first_of(fields)}")
    if fields != ["\\1-grams:"]:
        raise reader.fault(f"expected \\1-grams:, found {_first_of(fields)}")
    return counts


def _first_of(fields: Sequence[str]) -> str:
    """The first fields of a line, for a message."""
    return " ".join(fields[:FIELDS_SHOWN])


def _read_section(reader: _Reader, length: int, counts: list[int], ids: dict[str, int]) -> _Section:
    """Return the n-grams of ``length`` in our vocabulary; reads up to the next section."""
    grams: list[list[int]] = []
    log_p: list[float] = []
    backoff: list[float] = []
    lines: list[int] = []
    has_backoff = length < len(counts)
    listed = 0
    fields = reader.next_fields()
    while not fields[0].startswith("\\"):
        listed += 1
        p, weight = _parse_weights(reader, fields, length, has_backoff)
        words = fields[1 : length + 1]
        gram = [ids.get(word, OUTSIDE) for word in words]
        if OUTSIDE in gram:
            reader.drop(words, p, ids)
        else:
            grams.append(gram)
            log_p.append(min(p, 0.0))
            backoff.append(weight)
            lines.append(reader.number)
        fields = reader.next_fields()

    if listed != counts[length - 1]:
        raise reader.fault(f"{listed} {length}-grams listed, {counts[length - 1]} announced")
    expected = f"\\{length + 1}-grams:" if has_backoff else FILE_END
    if fields != [expected]:
        raise reader.fault(f"expected {expected}, found {_first_of(fields)}")
    return _Section(
        ids=np.array(grams, np.int64).reshape(-1, length),
        log_p=np.array(log_p),
        backoff=np.array(backoff),
        line=np.array(lines, int),
    )


def _parse_weights(
    reader: _Reader, fields: list[str], length: int, has_backoff: bool
) -> tuple[float, float]:
    """Return log p and the back-off weight on a line; the longest n-grams have no weight."""
    most_fields = length + 2 if has_backoff else length + 1
    if not length + 1 <= len(fields) <= most_fields:
        raise reader.fault(
            f"expected a number, {length} words and perhaps a back-off weight, "
            f"found {' '.join(fields)!r}"
        )

    log_p = _parse_logarithm(reader, fields[0], OVERSHOOT)
    backoff = _parse_logarithm(reader, fields[-1], math.inf) if len(fields) > length + 1 else 0.0
    return log_p, backoff


def _parse_logarithm(reader: _Reader, text: str, most: float) -> float:
    """Return a base-10 logarithm of at most ``most`` as a natural one."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or value > most or value == math.inf:
        of_what = " of a probability" if most < math.inf else ""
        raise reader.fault(f"{text!r} is not a logarithm{of_what}")
    return value * LOG_10 if value > NEVER else -math.inf


def _unigram_level(
    reader: _Reader, section: _Section, ids: dict[str, int]
) -> tuple[Level, list[str]]:
    """Return the unigrams of all our words, and notes on those that the file lacks."""
    size = len(ids) + 1
    word = section.ids[:, 0]
    _refuse_repetitions(reader, section, word)
    if ids[END] not in word:
        raise reader.fault(f"no unigram {END}")

    log_p = np.full(size, -math.inf)
    backoff = np.zeros(size)
    log_p[word] = section.log_p
    backoff[word] = section.backoff
    notes = []
    missing = np.setdiff1d(np.arange(1, ids[END]), word)
    if len(missing) and reader.unknown > -math.inf:
        log_p[missing] = reader.unknown - math.log(len(missing))
        notes = [f"{len(missing)} words are not in the file and share the probability of its <unk>"]
    elif 0 < len(missing) == ids[END] - 1:
        raise reader.fault("none of the lexicon's words is in it; does it write them otherwise?")
    elif len(missing):
        notes = [f"{len(missing)} words are not in the file and cannot be said"]

    log_p[ids[BEGIN]] = -math.inf  # some tools list a probability that is never used
    return _level(np.array([0, size]), np.arange(size), log_p, backoff), notes


def _longer_level(
    reader: _Reader, section: _Section, keys: list[np.ndarray], listed: np.ndarray
) -> tuple[Level, np.ndarray]:
    """Return the next level of the trie, and the keys of its n-grams, ascending.

    A key is the index of the prefix among the shorter n-grams, times the number of words, plus the
    last word. ``keys``: those of the shorter n-grams, by length. ``listed``: the listed unigrams.
    """
    size = len(keys[0])
    length = section.ids.shape[1]
    is_absent = ~np.isin(section.ids, listed).all(axis=1)
    prefix = section.ids[:, 0]
    for known, word in zip(keys[1:], section.ids.T[1 : length - 1], strict=True):
        key = prefix * size + word
        prefix = np.searchsorted(known, key)
        is_absent |= np.append(known, -1)[prefix] != key

    if is_absent.any():
        line = section.line[is_absent][0]
        raise reader.fault("an n-gram without its prefix or its unigrams", line)

    key = prefix * size + section.ids[:, -1]
    _refuse_repetitions(reader, section, key)
    order = np.argsort(key)
    first = np.searchsorted(prefix[order], np.arange(len(keys[-1]) + 1))
    word = section.ids[order, -1]
    return _level(first, word, section.log_p[order], section.backoff[order]), key[order]


def _refuse_repetitions(reader: _Reader, section: _Section, key: np.ndarray) -> None:
    """Raise a UserError if two n-grams of a section have the same ``key`` [n-grams]."""
    _, first = np.unique(key, return_index=True)
    if len(first) < len(key):
        repeated = np.setdiff1d(np.arange(len(key)), first)[0]
        raise reader.fault("an n-gram that was listed before", section.line[repeated])


def _level(first: np.ndarray, word: np.ndarray, log_p: np.ndarray, backoff: np.ndarray) -> Level:
    return Level(first, word.astype(np.int32), log_p.astype(np.float32), backoff.astype(np.float32))


def write_arpa(ngram: NGram, path: Path) -> None:
    """Write a model so that ``read_arpa`` gives the same numbers (nine digits fix a float32).

    The file is written whole or not at all.
    """
    path = Path(path)
    lines = _iter_model(ngram)
    if path.suffix == ".gz":
        write_file(path, gzip.compress("".join(lines).encode()))
        return

    with FileWriter(path) as writer:
        for line in lines:
            writer.write(line.encode())


def _iter_model(ngram: NGram) -> Iterator[str]:
    """Yield the lines of a file, some of them together."""
    yield f"{DATA}\n"
    for length, level in enumerate(ngram.levels, 1):
        listed = len(level.word) - (length == 1)  # <eps> is not listed
        yield f"ngram {length}={listed}\n"

    prefixes = [""]
    for length, level in enumerate(ngram.levels, 1):
        grams = _spell(ngram, level, prefixes)
        yield f"\n\\{length}-grams:\n"
        yield from format_lines(level, grams, left_out=ngram.words[0])
        prefixes = grams
    yield f"\n{FILE_END}\n"


def _spell(ngram: NGram, level: Level, prefixes: list[str]) -> list[str]:
    """Return the words of each n-gram of a level, given those of the shorter n-grams."""
    prefix = np.repeat(np.arange(len(level.first) - 1), np.diff(level.first))
    return [
        f"{prefixes[p]} {ngram.words[w]}".lstrip()
        for p, w in zip(prefix.tolist(), level.word.tolist(), strict=True)
    ]


def format_lines(level: Level, grams: list[str], left_out: str) -> Iterator[str]:
    """Yield a line for each n-gram of a level but ``left_out``; weights of 0 are not written."""
    columns = zip(level.log_p.tolist(), grams, level.backoff.tolist(), strict=True)
    for log_p, gram, backoff in columns:
        if gram != left_out:
            weight = "" if backoff == 0 else f"\t{_format_logarithm(backoff)}"
            yield f"{_format_logarithm(log_p)}\t{gram}{weight}\n"


def _format_logarithm(value: float) -> str:
    """Return a natural logarithm as a base-10 one in nine digits."""
    return f"{max(value / LOG_10, NEVER):.9g}"
