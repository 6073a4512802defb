"""The best word sequence of a lattice when a longer-range language model takes the place of its unigram, exactly.

The unigram's mass is spread over the arcs of a word by look-ahead, but along a complete path the parts of a word sum to
log p(w), and the end of the sentence likewise. So log p(w) is taken off where the word's label stands, and the other
model's log probability put on; only scores of incomplete paths are odd. A token is a node of the lattice with a history
of the language model; equal ones recombine, so without a beam no path is lost.
"""

import numba
import numpy as np

from workbench.language.backoff import NGram
from workbench.language.trie import after, trie_of
from workbench.sequence.lattice import Lattice, NoPath, viterbi
from workbench.sequence.sparse_rows import bounds

BEAM = (
    10.0  # 8 found what 30 found on lattices of 20 to 700 arcs per frame; time is exponential in it
)


def rescore(
    lattice: Lattice,
    ngram: NGram,
    unigram: np.ndarray,
    lm_scale: float = 1.0,
    insertion: float = 0.0,
    beam: float = BEAM,
) -> tuple[tuple[int, ...], float]:
    """(word ids, log score) of the best path with ``ngram`` in place of ``unigram`` [words + 2] (natural log).

    ``lm_scale`` multiplies the log probabilities of ``ngram``, ``insertion`` is added per word. ``beam``: tokens worse
    than the frame's best by more are dropped, judged with the lattice's own scores of the rest; infinite: exact, but a
    dense lattice then has very many tokens. Raises NoPath if no path is left.
    """
    trie = trie_of(ngram)
    _, behind = viterbi(lattice.source, lattice.target, lattice.weight, lattice.final)
    records, record, score = tokens_through(
        bounds(lattice.frame, lattice.frames),
        lattice.source,
        lattice.target,
        lattice.weight,
        lattice.word,
        lattice.final,
        behind,
        beam,
        np.asarray(unigram, np.float64),
        lm_scale,
        insertion,
        ngram.eos,
        trie.head,
        trie.word,
        trie.log_p,
        trie.backoff,
        trie.suffix,
        trie.history,
        trie.start,
    )
    if score == -np.inf:
        raise NoPath("no complete path")
    words = []
    while record > 0:
        word, record = records[record]
        words.append(int(word))
    return tuple(reversed(words)), float(score)


# Columns of tokens: node, history, record of the words so far, word just said, next token of the node, slot.
NODE, HISTORY, RECORD, SAID, NEXT, SLOT = range(6)


@numba.njit(cache=True, nogil=True)
def tokens_through(
    arcs,
    source,
    target,
    weight,
    word,
    final,
    behind,
    beam,
    unigram,
    lm_scale,
    insertion,
    eos,
    head,
    lm_word,
    log_p,
    backoff,
    suffix,
    history,
    start,
):
    """Pass tokens through the frames: (records, record of the best end, its score).

    ``records`` int64 [n, 2]: a word and the record of the words before it; record 0 is the beginning.
    """
    records, said = np.zeros((1024, 2), np.int64), 1
    first = np.full(final.size, -1, np.int64)  # tokens of a boundary are chained per node
    slots = np.full(1 << 12, -1, np.int64)
    old, old_score, count = np.zeros((1, 6), np.int64), np.zeros(1), 1
    new, new_score = np.zeros((1024, 6), np.int64), np.zeros(1024)
    old[0, HISTORY] = start
    for t in range(arcs.size - 1):
        hang(old, old_score, count, behind, beam, first)
        made, best = 0, -np.inf
        for k in range(arcs[t], arcs[t + 1]):
            d, w, i = target[k], word[k], first[source[k]]
            while i >= 0:
                v, h = old_score[i] + weight[k], old[i, HISTORY]
                if w > 0:
                    p, h = after(head, lm_word, log_p, backoff, suffix, history, h, w)
                    v += lm_scale * p + insertion - unigram[w]
                if v > -np.inf and v + behind[d] >= best - beam:
                    best = max(best, v + behind[d])
                    if made == len(new):
                        new, new_score = (
                            np.concatenate((new, new)),
                            np.concatenate((new_score, new_score)),
                        )
                    if 2 * made >= slots.size:
                        slots = replaced(new, made, 4 * slots.size)
                    q = slot(slots, new, d, h)
                    j = slots[q]
                    if j < 0:
                        j, slots[q] = made, made
                        new[j, NODE], new[j, HISTORY], new[j, SLOT], new_score[j] = d, h, q, -np.inf
                        made += 1
                    if v > new_score[j]:
                        new_score[j], new[j, RECORD], new[j, SAID] = v, old[i, RECORD], w
                i = old[i, NEXT]
        for i in range(count):
            first[old[i, NODE]] = -1
        for j in range(made):
            slots[new[j, SLOT]] = -1
            if new[j, SAID]:
                if said == len(records):
                    records = np.concatenate((records, records))
                records[said, 0], records[said, 1] = new[j, SAID], new[j, RECORD]
                new[j, RECORD] = said
                said += 1
        old, old_score, count, new, new_score = new, new_score, made, old, old_score
    top, found = -np.inf, np.int64(0)
    for i in range(count):
        p, _ = after(head, lm_word, log_p, backoff, suffix, history, old[i, HISTORY], eos)
        v = old_score[i] + final[old[i, NODE]] + lm_scale * p - unigram[eos]
        if v > top:
            top, found = v, old[i, RECORD]
    return records[:said], found, top


@numba.njit(cache=True, nogil=True)
def hang(tokens, score, count, behind, beam, first):
    """Chain the tokens within the beam to their nodes: ``first`` [nodes], all -1, is the first of each."""
    best = -np.inf
    for i in range(count):
        best = max(best, score[i] + behind[tokens[i, NODE]])
    for i in range(count):
        n = tokens[i, NODE]
        if score[i] + behind[n] >= best - beam:
            tokens[i, NEXT], first[n] = first[n], i


@numba.njit(cache=True, nogil=True)
def slot(slots, tokens, node, history):
    """Where the token of (node, history) stands among ``slots`` (a power of two, -1: free), or would stand."""
    q = (node * 40503 + history * 2654435761) & (slots.size - 1)
    while slots[q] >= 0 and (
        tokens[slots[q], NODE] != node or tokens[slots[q], HISTORY] != history
    ):
        q = (q + 1) & (slots.size - 1)
    return q


@numba.njit(cache=True, nogil=True)
def replaced(tokens, count, size):
    """More slots, with the tokens in them."""
    slots = np.full(size, -1, np.int64)
    for i in range(count):
        tokens[i, SLOT] = slot(slots, tokens, tokens[i, NODE], tokens[i, HISTORY])
        slots[tokens[i, SLOT]] = i
    return slots
