"""The words that an n-gram model lists after each history, in the order of their sounds."""

from typing import NamedTuple

import numpy as np

from workbench.language.lexicon import Lexicon
from workbench.language.trie import Trie


class Listed(NamedTuple):
    """Listed words with their pronunciations, in order of history, then sound: ``history``, ``word``, ``lm``, history
    ``behind`` and ``pronounced`` (log probability) of each.

    ``sound``: its place in ``phones`` [sounds, longest], padded by -1; ``length`` [sounds].
    """

    history: np.ndarray
    word: np.ndarray
    lm: np.ndarray
    behind: np.ndarray
    pronounced: np.ndarray
    sound: np.ndarray
    phones: np.ndarray
    length: np.ndarray


def listed_words(lexicon: Lexicon, trie: Trie, end: int) -> Listed:
    """All words that the model lists after some history."""
    said = [p.phones for p in lexicon.pronunciations]
    padded = np.full((len(said), max(map(len, said))), -1)
    for row, phones in zip(padded, said, strict=True):
        row[: len(phones)] = phones
    phones, sound = np.unique(padded, axis=0, return_inverse=True)
    node = 1 + np.flatnonzero(
        (trie.word[1:] > 0) & (trie.word[1:] < end) & (trie.log_p[1:] > -np.inf)
    )
    first = np.searchsorted([p.word for p in lexicon.pronunciations], np.arange(end + 1))
    i, said_as = spread(first[trie.word[node]], np.diff(first)[trie.word[node]])
    node = node[i]
    history = parents(trie)[node - 1]
    order = np.lexsort((trie.word[node], sound[said_as], history))
    node, said_as = node[order], said_as[order]
    pronounced = np.array([p.log_probability for p in lexicon.pronunciations])[said_as]
    columns = (
        history[order],
        trie.word[node],
        trie.log_p[node],
        trie.history[node],
        pronounced,
        sound[said_as],
    )
    return Listed(*columns, phones, (phones >= 0).sum(1))


def parents(trie: Trie) -> np.ndarray:
    """The history that lists each node but the first."""
    return np.repeat(np.arange(len(trie.suffix)), np.diff(trie.head))


def spread(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(i, j) for all i and first[i] <= j < first[i] + count[i]."""
    i = np.repeat(np.arange(len(count)), count)
    return i, np.arange(len(i)) - (np.cumsum(count) - count - first)[i]


def in_common(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """How many phones each row has in common with the one before, if that is of the same group: [rows + 1], 0 at the
    ends."""
    alike = np.cumprod((rows[1:] == rows[:-1]) & (rows[1:] >= 0), axis=1).sum(1)
    return np.concatenate([[0], alike * (group[1:] == group[:-1]), [0]])


def first_alike(common: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The first row of those before ``row`` that share its beginning of length ``depth``."""
    out = np.empty(len(row), np.int64)
    for k in np.unique(depth):
        first = np.maximum.accumulate(np.where(common < k, np.arange(len(common)), 0))
        out[depth == k] = first[row[depth == k]]
    return out
