"""The obvious versions that the fast ones are checked against: every path enumerated, sums taken one by one."""

from dataclasses import dataclass

import numpy as np

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.numerator import numerator
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation
from workbench.sequence.lattices import Reference


@dataclass(frozen=True)
class Paths:
    """Complete paths of a graph: ``arcs`` int [paths, frames], and log ``score`` [paths] in double precision."""

    graph: Graph
    arcs: np.ndarray
    score: np.ndarray

    def where(self, chosen) -> "Paths":
        return Paths(self.graph, self.arcs[chosen], self.score[chosen])

    @property
    def states(self) -> np.ndarray:
        return self.graph.state[self.arcs]

    @property
    def phones(self) -> np.ndarray:
        return self.graph.phone[self.arcs]

    @property
    def words(self) -> list[tuple[int, ...]]:
        return [tuple(int(w) for w in row if w) for row in self.graph.word[self.arcs]]

    def saying(self, words) -> "Paths":
        return self.where(np.array([w == tuple(words) for w in self.words], bool))

    def best(self) -> "Paths":
        return self.where([int(self.score.argmax())])

    def total(self) -> float:
        return log_sum(self.score)


def tiny_graph(
    rng: np.random.Generator, states: int = 5, arcs: int = 12, tied: int = 4, words: int = 3
) -> Graph:
    """A random graph whose last state is final, with self loops, parallel arcs and words on some arcs."""
    chain = np.arange(states - 1)
    source = np.concatenate([chain, np.arange(1, states), rng.integers(0, states, arcs)])
    target = np.concatenate([chain + 1, np.arange(1, states), rng.integers(0, states, arcs)])
    final = np.where(rng.random(states) < 0.2, np.log(rng.random(states)), -np.inf)
    final[-1] = np.log(0.3)
    n = len(source)
    return from_arcs(
        source,
        target,
        rng.integers(0, tied, n),
        rng.integers(0, words + 1, n) * (rng.random(n) < 0.5),
        np.log(rng.uniform(0.1, 0.9, n)),
        final,
        rng.integers(0, 3, n),
    )


def tiny_scores(rng: np.random.Generator, frames: int = 4, tied: int = 4) -> np.ndarray:
    return rng.normal(0, 1, (frames, tied)).astype(np.float32)


def every_path(graph: Graph, scores: np.ndarray) -> Paths:
    """All complete paths of ``len(scores)`` frames."""
    arcs, weight = _enumerated(graph, len(scores))
    return Paths(
        graph,
        arcs,
        weight + scores[np.arange(len(scores)), graph.state[arcs]].sum(1, dtype=np.float64),
    )


_known: dict[tuple[int, int], tuple[Graph, np.ndarray, np.ndarray]] = {}


def _enumerated(graph: Graph, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(arcs, graph score) of every path, kept because finite differences ask again and again."""
    if (id(graph), frames) not in _known:
        paths = [((), 0, 0.0)]
        for _ in range(frames):
            paths = [
                ((*arcs, k), int(graph.target[k]), weight + float(graph.weight[k]))
                for arcs, s, weight in paths
                for k in range(graph.offsets[s], graph.offsets[s + 1])
            ]
        paths = [
            (arcs, weight + float(graph.final[s]))
            for arcs, s, weight in paths
            if graph.final[s] > -np.inf
        ]
        arcs = np.array([p[0] for p in paths], int).reshape(len(paths), frames)
        _known[id(graph), frames] = graph, arcs, np.array([p[1] for p in paths])
    return _known[id(graph), frames][1:]


def log_sum(values) -> float:
    values = np.asarray(values, np.float64)
    return float(values.max() + np.log(np.exp(values - values.max()).sum()))


def dense_occupancies(paths: Paths, tied: int) -> np.ndarray:
    """γ_t(s) from paths: float64 [frames, tied]."""
    share = np.exp(paths.score - paths.total())
    return np.stack([np.bincount(s, share, tied) for s in paths.states.T])


def links(paths: Paths, width: float) -> set[tuple[int, int]]:
    """The (frame, arc) that lie on some path within ``width`` of the best."""
    good = paths.where(paths.score >= paths.score.max() - width)
    return {(t, int(k)) for row in good.arcs for t, k in enumerate(row)}


def pruned_paths(paths: Paths, width: float) -> Paths:
    """The paths made of links that survive pruning; more than those within ``width``."""
    kept = links(paths, width)
    return paths.where(
        np.array([all((t, int(k)) in kept for t, k in enumerate(row)) for row in paths.arcs], bool)
    )


@dataclass(frozen=True)
class Task:
    """A language of few words with everything that a criterion needs."""

    lexicon: Lexicon
    states: TiedStates
    unigram: np.ndarray
    denominator: Graph

    def numerator(self, words) -> Graph:
        return numerator(words, self.lexicon, self.states, self.unigram)

    def reference(self, words) -> Reference:
        return Reference(tuple(words), lambda: self.numerator(words))


def tiny_task(seed: int = 0, tied_per_position: int = 2) -> Task:
    """Four words over three phones; two sound alike, one has two pronunciations; tied states drawn at random."""
    draw = np.random.default_rng(seed)
    said = [(1, (1,)), (2, (1, 2)), (2, (2,)), (3, (2, 1)), (4, (2, 1))]
    lexicon = Lexicon(
        ("<eps>", "a", "ab", "ba", "bah"),
        ("SIL", "A", "B"),
        tuple(Pronunciation(w, p, -0.1 * w) for w, p in said),
    )
    own = tied_per_position * np.arange(9, dtype=np.int32).reshape(1, 3, 1, 3)
    table = own + draw.integers(0, tied_per_position, (3, 3, 3, 3), dtype=np.int32)
    table[:, 0] = own[:, 0]
    used, table = np.unique(table, return_inverse=True)
    states = TiedStates(
        lexicon.phones, table.reshape(3, 3, 3, 3), np.log(draw.uniform(0.3, 0.7, len(used)))
    )
    unigram = np.log([1e-30, 0.3, 0.2, 0.15, 0.1, 0.25, 1e-30])
    return Task(lexicon, states, unigram, denominator(lexicon, unigram, states))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def slopes(function, x: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences of a function of an array, in double precision."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        out[i] = (function(up) - function(down)) / (2 * step)
    return out
