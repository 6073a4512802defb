"""The best word sequence of a lattice when a longer-range language model takes the place of its
unigram, exactly.

Look-ahead spreads the unigram's probability over the arcs of a word, but along a complete path the
parts of a word, and those of the end of the sentence, add up to log p(w). So log p(w) is subtracted
where the word's label stands, and the other model's log probability is added. Only scores of
incomplete paths are wrong meanwhile. A token is a node of the lattice with a history of the
language model. Equal ones recombine, so without a beam no path is lost.

Indices are nodes, words, histories and counted tokens. Scores are only compared: one that is NaN
fails every comparison, and its token is dropped.
"""

from typing import NamedTuple

import numba
import numpy as np

from workbench.hmm.graphs.graph import NoPath
from workbench.language.backoff import NGram
from workbench.language.trie import Trie, after, trie_of
from workbench.sequence.lattice import Lattice, viterbi
from workbench.sequence.sparse_rows import frame_bounds

# 8 found what 30 found on lattices of 20 to 700 arcs a frame; time is exponential in it.
BEAM = 10.0
TOKENS = 1024  # room to begin with
SLOTS = 1 << 12  # of the hash table, a power of two

# Columns of a token: node, history, record of the words so far, word just said, next token of the
# node, slot.
NODE, HISTORY, RECORD, SAID, NEXT, SLOT = range(6)
COLUMNS = 6

# Columns of a record: a word, and the record of the words before it.
WORD, BEFORE = range(2)


class LatticeArcs(NamedTuple):
    """Arrays of a lattice; the arcs of frame t are bounds[t] : bounds[t + 1].

    ``bounds`` int64 [T + 1]; ``source``, ``target``, ``word`` int32 and ``weight`` float64 [arcs];
    ``final`` and ``behind`` (best log score to the end) float64 [nodes].
    """

    bounds: np.ndarray
    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    weight: np.ndarray
    final: np.ndarray
    behind: np.ndarray


class Exchange(NamedTuple):
    """The language models: ``scale`` times that of ``trie`` in place of ``unigram`` float64 [words
    + 2].
    """

    trie: Trie
    unigram: np.ndarray
    scale: float
    eos: int


class TokenTable(NamedTuple):
    """Tokens of one boundary: int64 [room, COLUMNS] with float64 ``score`` [room], and their hash
    table.

    ``slots`` int64: which token of (node, history) stands there, -1 if none.
    """

    tokens: np.ndarray
    score: np.ndarray
    slots: np.ndarray


def rescore(
    lattice: Lattice,
    ngram: NGram,
    unigram: np.ndarray,
    lm_scale: float = 1.0,
    beam: float = BEAM,
) -> tuple[tuple[int, ...], float]:
    """Return (word ids, log score) of the best path with ``ngram`` in place of ``unigram`` [words +
    2], natural log.

    ``lm_scale`` multiplies the log probabilities of ``ngram``. ``beam``: tokens worse than the
    frame's best by more are dropped, judged with the lattice's own scores of the rest; infinite:
    exact, but a dense lattice then has very many tokens. Raises NoPath if no path is left.
    """
    _, behind = viterbi(lattice.source, lattice.target, lattice.weight, lattice.final)
    arcs = LatticeArcs(
        bounds=frame_bounds(lattice.frame, lattice.frames),
        source=lattice.source,
        target=lattice.target,
        word=lattice.word,
        weight=lattice.weight,
        final=lattice.final,
        behind=behind,
    )
    exchange = Exchange(
        trie_of(ngram), np.asarray(unigram, np.float64), float(lm_scale), int(ngram.eos)
    )
    records, record, score = find_best_words(arcs, exchange, float(beam))
    if score == -np.inf:
        raise NoPath("no complete path")

    words = []
    while record > 0:
        words.append(int(records[record, WORD]))
        record = records[record, BEFORE]
    return tuple(reversed(words)), float(score)


@numba.njit(cache=True, nogil=True)
def find_best_words(
    arcs: LatticeArcs, exchange: Exchange, beam: float
) -> tuple[np.ndarray, int, float]:
    """Pass tokens through the frames; (records, record of the best end, its score).

    ``records`` int64 [n, 2]: columns WORD and BEFORE; record 0 is the beginning.
    """
    records = np.zeros((TOKENS, 2), np.int64)
    said = 1  # records so far
    first = np.full(arcs.final.size, -1, np.int64)  # tokens of a boundary are chained by node
    slots = np.full(SLOTS, -1, np.int64)
    old = np.zeros((1, COLUMNS), np.int64)
    old[0, HISTORY] = exchange.trie.start
    old_score = np.zeros(1)
    count = 1
    new = np.zeros((TOKENS, COLUMNS), np.int64)
    new_score = np.zeros(TOKENS)

    for t in range(arcs.bounds.size - 1):
        chain(old, old_score, count, arcs.behind, beam, first)
        made, table = advance(
            t, arcs, exchange, beam, old, old_score, first, TokenTable(new, new_score, slots)
        )
        new = table.tokens
        new_score = table.score
        slots = table.slots

        for i in range(count):
            first[old[i, NODE]] = -1
        for j in range(made):
            slots[new[j, SLOT]] = -1
        records, said = write_records(new, made, records, said)
        old, new = new, old
        old_score, new_score = new_score, old_score
        count = made

    record, score = best_end(old, old_score, count, arcs, exchange)
    return records[:said], record, score


@numba.njit(cache=True, nogil=True, inline="always")
def advance(
    t: int,
    arcs: LatticeArcs,
    exchange: Exchange,
    beam: float,
    old: np.ndarray,
    old_score: np.ndarray,
    first: np.ndarray,
    table: TokenTable,
) -> tuple[int, TokenTable]:
    """Take the arcs of frame ``t`` from the ``old`` tokens; (how many new ones, their table, which
    may have grown).
    """
    source = arcs.source
    target = arcs.target
    word = arcs.word
    weight = arcs.weight
    behind = arcs.behind
    trie = exchange.trie
    unigram = exchange.unigram
    new = table.tokens
    new_score = table.score
    slots = table.slots
    made = 0
    best = -np.inf
    for k in range(arcs.bounds[t], arcs.bounds[t + 1]):
        d = target[k]
        w = word[k]
        i = first[source[k]]
        while i >= 0:
            v = old_score[i] + weight[k]
            h = old[i, HISTORY]
            if w > 0:
                p, h = after(trie, h, w)
                v += exchange.scale * p - unigram[w]
            if v > -np.inf and v + behind[d] >= best - beam:
                best = max(best, v + behind[d])
                if made == len(new):
                    new = np.concatenate((new, new))
                    new_score = np.concatenate((new_score, new_score))
                if 2 * made >= slots.size:
                    slots = rehash(new, made, 4 * slots.size)
                q = find_slot(slots, new, d, h)
                j = slots[q]
                if j < 0:
                    j = made
                    slots[q] = made
                    new[j, NODE] = d
                    new[j, HISTORY] = h
                    new[j, SLOT] = q
                    new_score[j] = -np.inf
                    made += 1
                if v > new_score[j]:
                    new_score[j] = v
                    new[j, RECORD] = old[i, RECORD]
                    new[j, SAID] = w
            i = old[i, NEXT]
    return made, TokenTable(new, new_score, slots)


@numba.njit(cache=True, nogil=True, inline="always")
def write_records(
    tokens: np.ndarray, count: int, records: np.ndarray, said: int
) -> tuple[np.ndarray, int]:
    """Write the words that ``tokens`` just said; (records, how many there are)."""
    for j in range(count):
        if tokens[j, SAID]:
            if said == len(records):
                records = np.concatenate((records, records))
            records[said, WORD] = tokens[j, SAID]
            records[said, BEFORE] = tokens[j, RECORD]
            tokens[j, RECORD] = said
            said += 1
    return records, said


@numba.njit(cache=True, nogil=True)
def best_end(
    tokens: np.ndarray, score: np.ndarray, count: int, arcs: LatticeArcs, exchange: Exchange
) -> tuple[int, float]:
    """Return (record, score) of the best token once the sentence has ended."""
    top = -np.inf
    record = 0
    for i in range(count):
        p, _ = after(exchange.trie, tokens[i, HISTORY], exchange.eos)
        v = score[i] + arcs.final[tokens[i, NODE]]
        v = v + exchange.scale * p - exchange.unigram[exchange.eos]
        if v > top:
            top = v
            record = tokens[i, RECORD]
    return record, top


@numba.njit(cache=True, nogil=True)
def chain(
    tokens: np.ndarray,
    score: np.ndarray,
    count: int,
    behind: np.ndarray,
    beam: float,
    first: np.ndarray,
) -> None:
    """Chain the tokens within the beam to their nodes: ``first`` [nodes], all -1, becomes the first
    of each.
    """
    best = -np.inf
    for i in range(count):
        best = max(best, score[i] + behind[tokens[i, NODE]])
    for i in range(count):
        n = tokens[i, NODE]
        if score[i] + behind[n] >= best - beam:
            tokens[i, NEXT] = first[n]
            first[n] = i


@numba.njit(cache=True, nogil=True)
def find_slot(slots: np.ndarray, tokens: np.ndarray, node: int, history: int) -> int:
    """Return where the token of (node, history) stands among ``slots``, or would stand."""
    q = (node * 40503 + history * 2654435761) & (slots.size - 1)
    while slots[q] >= 0 and (
        tokens[slots[q], NODE] != node or tokens[slots[q], HISTORY] != history
    ):
        q = (q + 1) & (slots.size - 1)
    return q


@numba.njit(cache=True, nogil=True)
def rehash(tokens: np.ndarray, count: int, size: int) -> np.ndarray:
    """Return ``size`` slots with the ``count`` tokens in them."""
    slots = np.full(size, -1, np.int64)
    for i in range(count):
        q = find_slot(slots, tokens, tokens[i, NODE], tokens[i, HISTORY])
        tokens[i, SLOT] = q
        slots[q] = i
    return slots
