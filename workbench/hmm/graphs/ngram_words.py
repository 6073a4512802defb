"""The words that an n-gram model lists after each history, in the order of their phones."""

from typing import NamedTuple

import numpy as np

from workbench.language.lexicon import Lexicon
from workbench.language.trie import Trie

NO_PHONE = -1  # fills up the rows of shorter phone sequences


class PhoneSequences(NamedTuple):
    """The distinct phone sequences of a lexicon, in lexicographic order.

    ``phones``: int64 [sequences, longest], rows filled up with `NO_PHONE`. ``length``: int64
    [sequences]. ``of_pronunciation``: int64 [pronunciations], the sequence that each one uses.
    """

    phones: np.ndarray
    length: np.ndarray
    of_pronunciation: np.ndarray


class ListedWords(NamedTuple):
    """Every pronunciation of every listed word, sorted by history, then phone sequence, then word.

    All columns have one entry per row. ``history``: the trie node that lists the word. ``word``:
    its id. ``log_p``: log p(word | history). ``next_history``: the trie node to remember after
    the word. ``log_pronunciation``: log probability of the pronunciation. ``sequence``: the row
    of ``sequences.phones`` that the pronunciation has.
    """

    history: np.ndarray
    word: np.ndarray
    log_p: np.ndarray
    next_history: np.ndarray
    log_pronunciation: np.ndarray
    sequence: np.ndarray
    sequences: PhoneSequences


def listed_words(lexicon: Lexicon, trie: Trie, end: int) -> ListedWords:
    """Return all words with a finite probability that the model lists after some history.

    ``end`` is the id of the end of a sentence; ids from there on are not words of the lexicon.
    """
    sequences = phone_sequences(lexicon)

    word = trie.word[1:]  # node 0 is the empty history
    is_listed = (word > 0) & (word < end) & (trie.log_p[1:] > -np.inf)
    node = 1 + np.flatnonzero(is_listed)

    # One row for each pronunciation of the word of each node.
    word_of_pronunciation = [p.word for p in lexicon.pronunciations]
    bounds = np.searchsorted(word_of_pronunciation, np.arange(end + 1))
    word = trie.word[node]
    i, pronunciation = expand_ranges(bounds[word], np.diff(bounds)[word])
    node = node[i]
    history = parent_histories(trie)[node - 1]
    sequence = sequences.of_pronunciation[pronunciation]

    order = np.lexsort((trie.word[node], sequence, history))
    node = node[order]
    log_probability = np.array([p.log_probability for p in lexicon.pronunciations])
    return ListedWords(
        history=history[order],
        word=trie.word[node],
        log_p=trie.log_p[node],
        next_history=trie.history[node],
        log_pronunciation=log_probability[pronunciation[order]],
        sequence=sequence[order],
        sequences=sequences,
    )


def phone_sequences(lexicon: Lexicon) -> PhoneSequences:
    """Return the distinct phone sequences of a lexicon's pronunciations."""
    longest = max(len(p.phones) for p in lexicon.pronunciations)
    padded = np.full((len(lexicon.pronunciations), longest), NO_PHONE)
    for row, pronunciation in zip(padded, lexicon.pronunciations, strict=True):
        row[: len(pronunciation.phones)] = pronunciation.phones

    phones, of_pronunciation = np.unique(padded, axis=0, return_inverse=True)
    return PhoneSequences(phones, (phones != NO_PHONE).sum(axis=1), of_pronunciation)


def parent_histories(trie: Trie) -> np.ndarray:
    """Return the history that lists each node of a trie but the first: int64 [nodes - 1]."""
    return np.repeat(np.arange(len(trie.suffix)), np.diff(trie.head))


def expand_ranges(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs (i, j) with first[i] <= j < first[i] + count[i], as two arrays, in order."""
    i = np.repeat(np.arange(len(count)), count)
    position = np.arange(len(i))
    start_of_range = np.cumsum(count) - count
    return i, position - (start_of_range - first)[i]


def shared_beginnings(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return how many leading phones each row shares with the row before it: int64 [rows + 1].

    ``rows`` [rows, longest] is filled up with `NO_PHONE`; rows of different ``group`` [rows] share
    nothing. The first entry and the last, which is behind the rows, are 0.
    """
    equal = (rows[1:] == rows[:-1]) & (rows[1:] != NO_PHONE)
    leading = np.cumprod(equal, axis=1).sum(axis=1)
    same_group = group[1:] == group[:-1]
    return np.concatenate([[0], leading * same_group, [0]])


def first_row_sharing(shared: np.ndarray, row: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return the first row that has the same ``depth`` leading phones as each of ``row``.

    ``shared`` [rows] is the result of `shared_beginnings` without its last entry. Rows with equal
    beginnings must be neighbours. ``row`` and ``depth`` are of equal length, as is the result.
    """
    out = np.empty(len(row), np.int64)
    for k in np.unique(depth):
        # A row that shares fewer than k phones with the row before begins a new block of rows.
        begins_block = shared < k
        first = np.maximum.accumulate(np.where(begins_block, np.arange(len(shared)), 0))
        at_depth = depth == k
        out[at_depth] = first[row[at_depth]]
    return out
