"""An n-gram model as one trie of flat arrays, which compiled loops can walk.

Nodes are n-grams; node 0 is the empty one, then all words, then all pairs, and so on. A history is a node: the longest
n-gram the model knows that what was said ends with.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numba
import numpy as np

from workbench.language.ngram import NGram


@dataclass(frozen=True, eq=False)
class Trie:
    """The children of node i, ascending by ``word``, are head[i] : head[i + 1]; all but ``head`` [nodes].

    ``log_p`` float64 of the last word after the others; ``backoff`` float64; ``suffix`` int64: the node without the
    oldest word, or the next shorter one known; ``history`` int64: the node to remember, without what no later score
    depends on. ``start``: the history at the beginning of a sentence.
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
    """The trie of ``ngram``, made at its first use and kept as long as the model lives."""
    if ngram not in _tries:
        _tries[ngram] = make_trie(ngram)
    return _tries[ngram]


def make_trie(ngram: NGram) -> Trie:
    """Put the levels of ``ngram`` one behind the other, and find where every node goes on."""
    levels = ngram.levels
    sizes = [1, *(len(level.word) for level in levels)]
    base = np.cumsum(sizes)
    nodes = int(base[-1])
    head = np.concatenate(
        [
            *(base[i] + level.first[:-1].astype(np.int64) for i, level in enumerate(levels)),
            np.full(sizes[-1] + 1, nodes),
        ]
    )
    word = np.concatenate([[-1], *(level.word for level in levels)]).astype(np.int32)
    log_p = np.concatenate([[0.0], *(level.log_p for level in levels)])
    backoff = np.concatenate(
        [[0.0], *(level.backoff for level in levels[:-1]), np.zeros(sizes[-1])]
    )
    suffix, history = link(head, word, backoff, nodes - sizes[-1] if len(levels) > 1 else 1)
    _, start = after(head, word, log_p, backoff, suffix, history, 0, ngram.bos)
    return Trie(head, word, log_p, backoff, suffix, history, int(start))


@numba.njit(cache=True, nogil=True)
def child(head, word, node, w):
    """The child of ``node`` with word ``w``, or -1."""
    if node == 0:
        return 1 + w
    low, high = head[node], head[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if word[middle] < w:
            low = middle + 1
        else:
            high = middle
    return low if low < head[node + 1] and word[low] == w else -1


@numba.njit(cache=True, nogil=True)
def link(head, word, backoff, longest):
    """(suffix, history) of every node; nodes from ``longest`` on are n-grams too long to be remembered."""
    suffix, history = np.zeros(word.size, np.int64), np.zeros(word.size, np.int64)
    for node in range(word.size):
        for c in range(head[node], head[node + 1]):
            if node:
                shorter, found = suffix[node], -1
                while found < 0:
                    found = child(head, word, shorter, word[c])
                    shorter = suffix[shorter]
                suffix[c] = found
            useless = c >= longest or (head[c] == head[c + 1] and backoff[c] == 0.0)
            history[c] = history[suffix[c]] if useless else c
    return suffix, history


@numba.njit(cache=True, nogil=True)
def after(head, word, log_p, backoff, suffix, history, node, w):
    """(log p(w | history ``node``), the history after w)."""
    total = 0.0
    while True:
        c = child(head, word, node, w)
        if c >= 0:
            return total + log_p[c], history[c]
        total += backoff[node]
        node = suffix[node]
