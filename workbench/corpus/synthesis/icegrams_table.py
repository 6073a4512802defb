"""The table of n-grams inside the icegrams package, unpacked at once into arrays.

The package answers one question at a time in Python, and asking for all followers of all words
takes a minute or two. Its file is a header, a list of words and, for bigrams and trigrams,
partitioned Elias-Fano lists (Pibiri and Venturini, "Efficient data structures for massive n-gram
datasets", SIGIR 2017); numpy unpacks them in a few seconds. The tests compare the result with the
package's own answers.

A derived file in simpler form would have to hold 2.6 million bigrams and 10 million trigrams for
the 29,000 words of a default corpus, more than 20 MB compressed, where this package has less than 2
MB in all. So the package's own file is read, and a test fails if a release changes it.
"""

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from workbench.corpus.synthesis.ngrams import Counts
from workbench.settings import UserError

VERSION = b"Reynir 001.00.00"
SECTIONS = (
    "trie",
    "frequencies",
    "word_bigrams",
    "bigrams",
    "bigram_trigrams",
    "trigrams",
    "word_counts",
    "bigram_counts",
    "trigram_counts",
    "words",
)
"""Sections of the file; their offsets follow the version in its header."""

INDEX_STEP = 128  # entries of a list between two places that its index has
PARTITION = 2048  # entries in one part of a partitioned list


def read_icegrams(leading: int) -> Counts:
    """Return counts of all words, and of the bigrams and trigrams that begin with frequent ones.

    Words are numbered by falling frequency, and ``leading`` is the number of frequent words.
    Raise UserError if the package or its table is missing or of another version.
    """
    section = _read_sections(find_table())
    values = _read_frequency_values(section["frequencies"])
    words = _read_words(section["words"])

    # Bigrams of words beyond the leading ones are cut off. But the last word of a trigram is stored
    # relative to the bigrams of the middle one, so all bigrams are unpacked first.
    all_bigrams_first = _read_monotonic(section["word_bigrams"])
    bigram_first = np.minimum(
        all_bigrams_first, all_bigrams_first[min(leading, len(all_bigrams_first) - 1)]
    )
    bigrams = bigram_first[-1]
    all_bigram_words = _restart_runs(
        _read_partitioned(section["bigrams"], all_bigrams_first[-1]), all_bigrams_first
    )
    bigram_word = all_bigram_words[:bigrams]

    trigram_first = _read_monotonic(section["bigram_trigrams"])[: bigrams + 1]
    trigrams = trigram_first[-1]
    # The last word of a trigram is stored as its position among the followers of the middle word.
    followers = _restart_runs(_read_partitioned(section["trigrams"], trigrams), trigram_first)
    followers += np.repeat(all_bigrams_first[bigram_word], np.diff(trigram_first))

    return Counts(
        words=words,
        count=values[1][_read_ranks(section["word_counts"], len(words))],
        bigram_first=bigram_first,
        bigram_word=bigram_word,
        bigram_count=values[2][_read_ranks(section["bigram_counts"], bigrams)],
        trigram_first=trigram_first,
        trigram_word=all_bigram_words[followers],
        trigram_count=values[3][_read_ranks(section["trigram_counts"], trigrams)],
    )


def find_table() -> Path:
    """Return the path of the package's table; raise UserError if it is missing."""
    spec = importlib.util.find_spec("icegrams")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "resources" / "trigrams.bin"
        if path.is_file():
            return path
    raise UserError(
        "Icelandic text needs the table in icegrams 1.1.7 (later versions lack it): "
        "pip install 'workbench[data]'"
    )


def _read_sections(path: Path) -> dict[str, np.ndarray]:
    """Return the bytes from each section on to the end of the file."""
    data = np.fromfile(path, np.uint8)
    if data[: len(VERSION)].tobytes() != VERSION:
        raise UserError(f"{path}: not the format of icegrams 1.1.7: pip install 'workbench[data]'")
    offsets = _read_uint32(data[len(VERSION) :], len(SECTIONS))
    return {name: data[offset:] for name, offset in zip(SECTIONS, offsets, strict=True)}


def _read_uint32(data: np.ndarray, count: int) -> np.ndarray:
    """Return the first ``count`` numbers of 32 bits, int64 [count]."""
    return data[: 4 * count].view("<u4").astype(np.int64)


def _read_bits(data: np.ndarray, count: int) -> np.ndarray:
    """Return the first ``count`` bits, the least significant of each byte first."""
    return np.unpackbits(data[: (count + 7) >> 3], count=count, bitorder="little")


def _read_fields(data: np.ndarray, position: np.ndarray, length: int | np.ndarray) -> np.ndarray:
    """Return the numbers of ``length`` < 25 bits that begin at each bit ``position``."""
    overlapping: np.ndarray = np.ndarray(len(data) - 3, "<u4", data, strides=(1,))
    shifted = overlapping[position >> 3] >> (position & 7).astype(np.uint32)
    return shifted & ((1 << length) - 1)


def _read_monotonic(data: np.ndarray) -> np.ndarray:
    """Return an Elias-Fano list, int64 [n].

    The low bits of all entries are packed. The high part of entry i is the number of zeros before
    the i-th one in the bits that follow.
    """
    n = int(_read_uint32(data, 1)[0])
    low_bits, high_bits = (int(bits) for bits in data[4:8].view("<u2"))
    data = data[8:]
    if high_bits:
        data = data[4 * ((n - 1) // INDEX_STEP) :]  # the index is not needed

    i = np.arange(n)
    low = _read_fields(data, i * low_bits, low_bits)
    if not high_bits:
        return low

    data = data[(n * low_bits + 7) >> 3 :]
    bits = _read_bits(data, min(8 * len(data), n + (1 << high_bits) + 8))
    ones = np.flatnonzero(bits)[:n]
    return low + ((ones - i) << low_bits)


def _read_partitioned(data: np.ndarray, total: int) -> np.ndarray:
    """Return the first ``total`` entries, int32, of a list that is cut into parts.

    Each part is a list of differences to the first value before it; these values have their own
    list. Values go beyond 32 bits, but only differences within runs are needed, so they are kept
    modulo 2**32.
    """
    parts = int(_read_uint32(data, 1)[0])
    starts = _read_uint32(data[4:], parts)[: -(-int(total) // PARTITION)]
    bases = np.concatenate(([0], _read_monotonic(data[4 + 4 * parts :])))
    pieces = [
        (_read_monotonic(data[start:]) + base).astype(np.int32)
        for start, base in zip(starts, bases[: len(starts)], strict=True)
    ]
    return np.concatenate(pieces)[:total]


def _restart_runs(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the numbers within each run first[i] : first[i + 1] of ``values``.

    In ``values`` each run counts from the last value of the run before it.
    """
    before = np.concatenate((np.zeros(1, np.int32), values))[first[:-1]]
    return values - np.repeat(before, np.diff(first))


def _read_frequency_values(data: np.ndarray) -> list[np.ndarray]:
    """Return, for each order of n-grams, the counts that occur; n-grams have ranks in this list."""
    values = []
    for _ in range(4):
        n = int(_read_uint32(data, 1)[0])
        values.append(_read_uint32(data[4:], n))
        data = data[4 + 4 * n :]
    return values


def _read_ranks(data: np.ndarray, total: int) -> np.ndarray:
    """Return the first ``total`` ranks of counts.

    They are packed code words 0, 1, 00, 01, ..., with bits that mark their beginnings.
    """
    codes = int(data[:2].view("<u2")[0])
    rank_of_code = data[2 : 2 + 2 * codes].view("<u2")
    data = data[2 + 2 * codes :]
    index = int(_read_uint32(data, 1)[0])
    data = data[4 + 4 * index :]  # the index is not needed

    size = int(_read_uint32(data, 1)[0])
    marks = data[4 + size :]
    bits = _read_bits(marks, min(8 * size, 16 * int(total) + 64))
    start = np.flatnonzero(bits)[: total + 1]
    length = np.diff(start)
    # Code words of one bit come first, so those of ``length`` bits begin at 2**length - 2.
    code = _read_fields(data[4:], start[:-1], length) - 2 + (1 << length)
    return rank_of_code[code]


def _read_words(data: np.ndarray) -> tuple[str, ...]:
    """Return all words; the first is "", the sentence boundary."""
    from icegrams.ngrams import ALPHABET

    index = int(_read_uint32(data, 1)[0])
    text = gzip.decompress(data[4 + 4 * index :].tobytes()).decode("latin-1")
    letters = dict(enumerate("\0" + ALPHABET))
    return tuple(text.translate(letters).split("\0")[:-1])
