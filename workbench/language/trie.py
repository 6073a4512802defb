"""An n-gram model as one trie of flat arrays, which compiled loops can walk.

Nodes are n-grams: node 0 is the empty one, then come all words, then all pairs, and so on. A
history is a node: the longest n-gram known to the model that ends what was said so far.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numba
import numpy as np

from workbench.language.backoff import NGram

NOT_FOUND = -1


class Trie(NamedTuple):
    """The n-grams of a model as nodes; all arrays but ``head`` are [nodes].

    ``head`` int64 [nodes + 1]: the children of node i are head[i] : head[i + 1], sorted by word.
    ``word`` int32: the last word, -1 for node 0. ``log_p`` float64: log p of the last word after
    the others. ``backoff`` float64. ``suffix`` int64: the node without the oldest word, or the
    next shorter one that is known. ``history`` int64: the node to remember, without words that
    cannot change a later score. ``start``: the history at the beginning of a sentence.
    """

    head: np.ndarray
    word: np.ndarray
    log_p: np.ndarray
    backoff: np.ndarray
    suffix: np.ndarray
    history: np.ndarray
    start: int


_tries: WeakKeyDictionary[NGram, Trie] = WeakKeyDictionary()


def trie_of(ngram: NGram) -> Trie:
    """Return the trie of ``ngram``, made at its first use and kept as long as the model lives."""
    if ngram not in _tries:
        _tries[ngram] = make_trie(ngram)
    return _tries[ngram]


def make_trie(ngram: NGram) -> Trie:
    """Return the trie of ``ngram``: its levels one after the other, with suffixes and histories."""
    levels = ngram.levels
    sizes = [1, *(len(level.word) for level in levels)]
    base = np.cumsum(sizes)  # the first node of each level
    nodes = int(base[-1])

    # The longest n-grams have no children and no back-off weights.
    children = [base[i] + level.first[:-1].astype(np.int64) for i, level in enumerate(levels)]
    head = np.concatenate([*children, np.full(sizes[-1] + 1, nodes)])
    word = np.concatenate([[-1], *(level.word for level in levels)]).astype(np.int32)
    log_p = np.concatenate([[0.0], *(level.log_p for level in levels)])
    shorter = [level.backoff for level in levels[:-1]]
    backoff = np.concatenate([[0.0], *shorter, np.zeros(sizes[-1])])

    longest = nodes - sizes[-1] if len(levels) > 1 else 1
    suffix, history = link(head, word, backoff, longest)
    trie = Trie(head, word, log_p, backoff, suffix, history, start=0)
    _, start = after(trie, 0, ngram.bos)
    return trie._replace(start=int(start))


@numba.njit(cache=True, nogil=True)
def child(head: np.ndarray, word: np.ndarray, node: int, w: int) -> int:
    """Return the child of ``node`` with word ``w``, or -1 if there is none."""
    if node == 0:
        return 1 + w
    low = head[node]
    high = head[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if word[middle] < w:
            low = middle + 1
        else:
            high = middle

    return low if low < head[node + 1] and word[low] == w else NOT_FOUND


@numba.njit(cache=True, nogil=True)
def link(
    head: np.ndarray, word: np.ndarray, backoff: np.ndarray, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``suffix`` and ``history`` of every node.

    Nodes from ``longest`` on are n-grams that are too long to be histories.
    """
    suffix = np.zeros(word.size, np.int64)
    history = np.zeros(word.size, np.int64)
    for node in range(word.size):
        for c in range(head[node], head[node + 1]):
            if node:
                shorter = suffix[node]
                found = NOT_FOUND
                while found == NOT_FOUND:
                    found = child(head, word, shorter, word[c])
                    shorter = suffix[shorter]
                suffix[c] = found
            useless = c >= longest or (head[c] == head[c + 1] and backoff[c] == 0.0)
            history[c] = history[suffix[c]] if useless else c

    return suffix, history


@numba.njit(cache=True, nogil=True)
def after(trie: Trie, node: int, w: int) -> tuple[float, int]:
    """Return log p(w | history ``node``) and the history after w."""
    total = 0.0
    while True:
        c = child(trie.head, trie.word, node, w)
        if c != NOT_FOUND:
            return total + trie.log_p[c], trie.history[c]
        total += trie.backoff[node]
        node = trie.suffix[node]
