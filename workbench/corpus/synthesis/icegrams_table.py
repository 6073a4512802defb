"""The trigram table inside the icegrams package, unpacked at once into arrays.

The package answers one question at a time in Python, so that asking for all followers of all words costs a minute or
two. Its file is a header, a list of words and, for pairs and triples, partitioned Elias-Fano lists (Pibiri and
Venturini, "Efficient data structures for massive n-gram datasets", SIGIR 2017); numpy unpacks them in a few seconds.
``tests/test_synthesis.py`` holds the result against the package's own answers.
"""

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from workbench.corpus.synthesis.ngrams import Counts
from workbench.settings import UserError

VERSION = b"Reynir 001.00.00"
QUANTUM, PARTITION = (
    128,
    2048,
)  # list entries between two places noted in an index, and in one part of a partitioned list
SECTIONS = ["trie", "frequencies", "word_pairs", "pairs", "pair_triples", "triples"]
SECTIONS += ["word_counts", "pair_counts", "triple_counts", "words"]


def read(leading: int) -> Counts:
    """Counts of all words (numbered by falling frequency), and of the pairs and triples that begin with the first
    ``leading`` words.

    UserError if the package or its table is missing or of another version.
    """
    section = _sections()
    values = _frequency_values(section["frequencies"])
    words = _words(section["words"])
    first = _monotonic(section["word_pairs"])
    pair_first = np.minimum(first, first[min(leading, len(first) - 1)])
    triple_first = _monotonic(section["pair_triples"])[: pair_first[-1] + 1]
    pair_word = _below(_partitioned(section["pairs"], first[-1]), first)
    within = _below(_partitioned(section["triples"], triple_first[-1]), triple_first)
    # a triple's last word is stored as its place among the followers of the middle one
    within += np.repeat(first[pair_word[: pair_first[-1]]], np.diff(triple_first))
    return Counts(
        words=words,
        count=values[1][_ranks(section["word_counts"], len(words))],
        pair_first=pair_first,
        pair_word=pair_word[: pair_first[-1]],
        pair_count=values[2][_ranks(section["pair_counts"], pair_first[-1])],
        triple_first=triple_first,
        triple_word=pair_word[within],
        triple_count=values[3][_ranks(section["triple_counts"], triple_first[-1])],
    )


def table_path() -> Path:
    """Where the package keeps its table; UserError that names what to install."""
    spec = importlib.util.find_spec("icegrams")
    path = Path(spec.origin).parent / "resources" / "trigrams.bin" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError(
            "Icelandic text needs the table in icegrams 1.1.7 (later versions lack it): pip install 'workbench[data]'"
        )
    return path


def _sections() -> dict[str, np.ndarray]:
    path = table_path()
    data = np.fromfile(path, np.uint8)
    if data[: len(VERSION)].tobytes() != VERSION:
        raise UserError(f"{path}: not the format of icegrams 1.1.7: pip install 'workbench[data]'")
    return {
        name: data[offset:]
        for name, offset in zip(SECTIONS, _u32(data, len(SECTIONS), 16), strict=True)
    }


def _u32(data: np.ndarray, count: int, at: int = 0) -> np.ndarray:
    return data[at : at + 4 * count].view("<u4").astype(np.int64)


def _bits(data: np.ndarray, count: int) -> np.ndarray:
    return np.unpackbits(data[: (count + 7) >> 3], count=count, bitorder="little")


def _fields(data: np.ndarray, position: np.ndarray, length) -> np.ndarray:
    """The numbers of ``length`` < 25 bits that begin at each bit position, least significant bit first."""
    overlapping: np.ndarray = np.ndarray(len(data) - 3, "<u4", data, strides=(1,))
    return (overlapping[position >> 3] >> (position & 7).astype(np.uint32)) & ((1 << length) - 1)


def _monotonic(data: np.ndarray) -> np.ndarray:
    """An Elias-Fano list: low bits packed; the high part of entry i is the number of zeros before the i-th one."""
    n = int(_u32(data, 1)[0])
    low, high = (int(x) for x in data[4:8].view("<u2"))
    data = data[8 + (4 * ((n - 1) // QUANTUM) if high else 0) :]
    i = np.arange(n)
    values = _fields(data, i * low, low)
    if not high:
        return values
    data = data[(n * low + 7) >> 3 :]
    ones = np.flatnonzero(_bits(data, min(8 * len(data), n + (1 << high) + 8)))[:n]
    return values + ((ones - i) << low)


def _partitioned(data: np.ndarray, total: int) -> np.ndarray:
    """The first ``total`` entries, int32, of a list cut into parts, each a list less its first value; these have a list
    of their own.

    Values go beyond 32 bits; consumers only need differences within runs, so they are kept modulo 2**32.
    """
    parts = int(_u32(data, 1)[0])
    starts = _u32(data, parts, 4)[: -(-int(total) // PARTITION)]
    first = np.concatenate(([0], _monotonic(data[4 + 4 * parts :])))
    pieces = [
        (_monotonic(data[a:]) + b).astype(np.int32)
        for a, b in zip(starts, first[: len(starts)], strict=True)
    ]
    return np.concatenate(pieces)[:total]


def _below(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The numbers within each run first[i]:first[i+1] of a list that goes on from the last value of the run before."""
    before = np.concatenate((np.zeros(1, np.int32), values))[first[:-1]]
    return values - np.repeat(before, np.diff(first))


def _frequency_values(data: np.ndarray) -> list[np.ndarray]:
    """For each order, the counts that occur; elsewhere they are named by rank in this list."""
    out, at = [], 0
    for _ in range(4):
        n = int(_u32(data, 1, at)[0])
        out.append(_u32(data, n, at + 4))
        at += 4 + 4 * n
    return out


def _ranks(data: np.ndarray, total: int) -> np.ndarray:
    """The first ``total`` ranks of counts: packed code words 0, 1, 00, 01, ..., and bits that mark their beginnings."""
    codes = int(data[:2].view("<u2")[0])
    ranks = data[2 : 2 + 2 * codes].view("<u2")
    data = data[2 + 2 * codes :]
    data = data[4 + 4 * int(_u32(data, 1)[0]) :]
    size = int(_u32(data, 1)[0])
    start = np.flatnonzero(_bits(data[4 + size :], min(8 * size, 16 * int(total) + 64)))[
        : total + 1
    ]
    length = np.diff(start)
    return ranks[_fields(data[4:], start[:-1], length) - 2 + (1 << length)]


def _words(data: np.ndarray) -> tuple[str, ...]:
    from icegrams.ngrams import ALPHABET

    text = gzip.decompress(data[4 + 4 * int(_u32(data, 1)[0]) :].tobytes())
    letters = dict(enumerate("\0" + ALPHABET))
    return tuple(text.decode("latin-1").translate(letters).split("\0")[:-1])
