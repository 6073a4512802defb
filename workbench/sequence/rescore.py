"""The best word sequence of a lattice when a longer-range language model takes the place of its unigram, exactly.

The unigram's mass is spread over the arcs of a word by look-ahead, but along a complete path the parts of a word sum to
log p(w), and the end of the sentence likewise. So log p(w) is taken off where the word's label stands, and the other
model's log probability put on; only scores of incomplete paths are odd. A token is a node of the lattice with a history
of the language model; equal ones recombine, hence no path is lost.
"""

from dataclasses import dataclass, field

import numba
import numpy as np

from workbench.language.ngram import NGram
from workbench.sequence.lattice import Lattice, NoPath, viterbi

UNKNOWN = -1  # a follow-up of a history that the language model has not been asked for yet
ASKED = 4096  # questions to the language model that a frame may have before they are answered


@dataclass
class Rescorer:
    """Rescores lattices with ``ngram`` in place of ``unigram`` [words + 2] (natural log, the entry behind the words:
    the end).

    ``lm_scale`` multiplies the log probabilities of ``ngram``, ``insertion`` is added per word. ``beam``: tokens worse
    than the frame's best by more are dropped, judged with the lattice's own scores of the rest; infinite: exact.
    Answers of the language model are kept from one lattice to the next.
    """

    ngram: NGram
    unigram: np.ndarray
    lm_scale: float = 1.0
    insertion: float = 0.0
    beam: float = np.inf
    _answers: dict = field(default_factory=dict, repr=False)

    def __call__(self, lattice: Lattice) -> tuple[tuple[int, ...], float]:
        """(word ids, log score with the exchanged language model) of the best path; raises NoPath if there is none."""
        spoken, local = np.unique(lattice.word, return_inverse=True)
        table = _Table(self, spoken)
        tokens = _Tokens(lattice)
        _, behind = viterbi(lattice.source, lattice.target, lattice.weight, lattice.final)
        arcs = np.searchsorted(lattice.frame, np.arange(lattice.frames + 1))
        t = 0
        while t < lattice.frames:
            t, asked = advance(
                t, arcs, lattice.source, lattice.target, lattice.weight, local.astype(np.int32), spoken[0] == 0, behind,
                self.beam, table.score, table.follow, *tokens.arrays, tokens.starts, tokens.slots, table.questions,
            )  # fmt: skip
            if asked:
                table.answer(asked)
            elif t < lattice.frames:
                tokens.grow()
        return self._best(lattice, spoken, table, tokens)

    def _best(self, lattice: Lattice, spoken: np.ndarray, table: "_Table", tokens: "_Tokens"):
        """The best token that may end, with the end of the sentence scored, and the words on its way."""
        first, end = tokens.starts[lattice.frames : lattice.frames + 2]
        node, history, score, back, word = (a for a in tokens.arrays)
        ends = lattice.final[node[first:end]] - self.unigram[self.ngram.eos]
        ends += [self.lm_scale * self.answer(table.histories[h], self.ngram.eos)[0] for h in history[first:end]]
        total = score[first:end] + ends
        if not len(total) or not (total > -np.inf).any():
            raise NoPath("no complete path")
        token = first + int(np.argmax(total))
        words = []
        while token > 0:
            words.append(int(spoken[word[token]]))
            token = back[token]
        return tuple(w for w in reversed(words) if w), float(total.max())

    def answer(self, history: tuple[int, ...], word: int) -> tuple[float, tuple[int, ...]]:
        """(log p(word | history), the history after it)."""
        key = (history, word)
        if key not in self._answers:
            after = history if word == self.ngram.eos else self.ngram.advance(history, word)
            self._answers[key] = self.ngram.score(history, word), after
        return self._answers[key]


def rescore(
    lattice: Lattice,
    ngram: NGram,
    unigram: np.ndarray,
    lm_scale: float = 1.0,
    insertion: float = 0.0,
    beam: float = np.inf,
) -> tuple[tuple[int, ...], float]:
    """(word ids, log score) of the best path of one lattice; for many, keep a ``Rescorer``."""
    return Rescorer(ngram, unigram, lm_scale, insertion, beam)(lattice)


class _Table:
    """What the language model said about the words of one lattice: score and follow-up of (history, word) by
    numbers."""

    def __init__(self, rescorer: Rescorer, spoken: np.ndarray):
        self.rescorer, self.spoken = rescorer, spoken
        self.histories = [rescorer.ngram.start]
        self.number = {rescorer.ngram.start: 0}
        self.score = np.zeros((64, len(spoken)))
        self.follow = np.full((64, len(spoken)), UNKNOWN, np.int32)
        self.questions = np.zeros((ASKED, 2), np.int32)

    def answer(self, asked: int) -> None:
        """Fill in the first ``asked`` questions, (history, word) by numbers; new histories get numbers, and rows."""
        for h, w in self.questions[:asked].tolist():
            word = int(self.spoken[w])
            score, after = self.rescorer.answer(self.histories[h], word)
            if after not in self.number:
                self.number[after] = len(self.histories)
                self.histories.append(after)
                if len(self.histories) > len(self.score):
                    self.score = np.concatenate([self.score, np.zeros_like(self.score)])
                    self.follow = np.concatenate([self.follow, np.full_like(self.follow, UNKNOWN)])
            self.follow[h, w] = self.number[after]
            self.score[h, w] = self.rescorer.lm_scale * score + self.rescorer.insertion - self.rescorer.unigram[word]


class _Tokens:
    """Tokens of all frames, one frame after the other: node, history, score, previous token, word; token 0 is the
    start."""

    def __init__(self, lattice: Lattice):
        size = 4 * lattice.nodes + 1024
        numbers = [np.zeros(size, np.int32) for _ in range(4)]
        self.arrays = [numbers[0], numbers[1], np.zeros(size), numbers[2], numbers[3]]
        self.starts = np.zeros(lattice.frames + 2, np.int64)
        self.starts[1] = 1
        self.slots = np.full(1 << 12, -1, np.int32)

    def grow(self) -> None:
        """Twice the room; the tokens are kept."""
        self.arrays = [np.concatenate([a, np.zeros_like(a)]) for a in self.arrays]
        self.slots = np.full(2 * len(self.slots), -1, np.int32)


@numba.njit(cache=True, nogil=True)
def advance(
    t, arcs, source, target, weight, word, has_none, behind, beam, lm_score, lm_follow,
    node, history, score, back, spoken, starts, slots, questions,
):  # fmt: skip
    """Pass tokens on from boundary ``t`` as far as possible: (boundary reached, questions asked).

    Stops before a frame for which (history, word) pairs are not in ``lm_follow`` (then they are listed in
    ``questions``) or for which ``node`` or ``slots`` (all -1, a power of two) are too small (then none is asked).
    ``word`` numbers columns of the tables; column 0 is "no word" if ``has_none``.
    """
    frames = arcs.size - 1
    first_of = np.full(behind.size + 1, -1, np.int32)  # tokens of a boundary are chained per node
    following = np.full(node.size, -1, np.int32)
    while t < frames:
        begin, end = starts[t], starts[t + 1]
        best = -np.inf
        for i in range(begin, end):
            best = max(best, score[i] + behind[node[i]])
        for i in range(end - 1, begin - 1, -1):
            if score[i] + behind[node[i]] >= best - beam:
                following[i] = first_of[node[i]]
                first_of[node[i]] = i
        used, asked, full = end, 0, False
        for k in range(arcs[t], arcs[t + 1]):
            i = first_of[source[k]]
            while i >= 0 and not full:
                h, s, w = history[i], score[i] + weight[k], word[k]
                if w > 0 or not has_none:
                    after = lm_follow[h, w]
                    if after == UNKNOWN and asked < questions.shape[0]:
                        questions[asked, 0], questions[asked, 1] = h, w
                        lm_follow[h, w] = 0  # asked for once only
                        asked += 1
                    s += lm_score[h, w]
                    h = max(after, 0)
                if asked == 0:
                    place = (np.int64(target[k]) * 40503 + np.int64(h) * 65599) & (slots.size - 1)
                    while slots[place] >= 0 and (node[slots[place]] != target[k] or history[slots[place]] != h):
                        place = (place + 1) & (slots.size - 1)
                    j = slots[place]
                    if j < 0:
                        if used == node.size or 2 * (used - end) >= slots.size:
                            full = True
                            break
                        j, slots[place] = used, used
                        node[j], history[j], score[j] = target[k], h, -np.inf
                        used += 1
                    if s > score[j]:
                        score[j], back[j], spoken[j] = s, i, w
                i = following[i]
        for i in range(begin, end):
            first_of[node[i]] = -1
        slots[:] = -1
        if asked or full:
            return t, asked
        t += 1
        starts[t + 1] = used
    return t, 0
