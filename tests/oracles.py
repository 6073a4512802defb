"""The obvious versions that the fast ones are checked against: every path enumerated, sums taken
one by one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph, from_arcs
from workbench.hmm.graphs.numerator import numerator
from workbench.hmm.states import TiedStates
from workbench.language.lexicon import Lexicon, Pronunciation
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattice_pair import Reference
from workbench.sequence.occupancy import arc_occupancies


@dataclass(frozen=True)
class Paths:
    """Complete paths of a graph: ``arcs`` int [paths, frames], and log ``score`` [paths] in double
    precision.
    """

    graph: Graph
    arcs: np.ndarray
    score: np.ndarray

    def where(self, chosen: np.ndarray | list[int]) -> "Paths":
        """The paths that ``chosen``, a mask or indices, selects."""
        return Paths(self.graph, self.arcs[chosen], self.score[chosen])

    @property
    def states(self) -> np.ndarray:
        """Tied states: int [paths, frames]."""
        return self.graph.state[self.arcs]

    @property
    def phones(self) -> np.ndarray:
        """Phones: int [paths, frames]."""
        return self.graph.phone[self.arcs]

    @property
    def words(self) -> list[tuple[int, ...]]:
        """The words of each path."""
        return [tuple(int(w) for w in row if w) for row in self.graph.word[self.arcs]]

    def saying(self, words: Iterable[int]) -> "Paths":
        """The paths that carry exactly ``words``."""
        return self.where(np.array([w == tuple(words) for w in self.words], bool))

    def best(self) -> "Paths":
        """The path of the highest score, alone."""
        return self.where([int(self.score.argmax())])

    def total(self) -> float:
        """The log sum of all scores."""
        return log_sum(self.score)


def tiny_graph(
    rng: np.random.Generator, states: int = 5, arcs: int = 12, tied: int = 4, words: int = 3
) -> Graph:
    """A random graph whose last state is final, with self loops, parallel arcs and words on some
    arcs.
    """
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
    """Random log scores, float32 [frames, tied states]."""
    return rng.normal(0, 1, (frames, tied)).astype(np.float32)


def every_path(graph: Graph, scores: np.ndarray) -> Paths:
    """All complete paths of ``len(scores)`` frames."""
    weighted = _weighted_paths(graph, len(scores))
    acoustic = scores[np.arange(len(scores)), graph.state[weighted.arcs]]
    score = weighted.score + acoustic.sum(1, dtype=np.float64)
    return Paths(graph, weighted.arcs, score)


# Finite differences ask for the same paths again and again. The value holds its graph, so that no
# other graph can have the same id.
_paths_by_graph: dict[tuple[int, int], Paths] = {}


def _weighted_paths(graph: Graph, frames: int) -> Paths:
    """All complete paths of so many frames, scored by the graph alone."""
    key = (id(graph), frames)
    if key not in _paths_by_graph:
        _paths_by_graph[key] = _enumerate_paths(graph, frames)
    return _paths_by_graph[key]


def _enumerate_paths(graph: Graph, frames: int) -> Paths:
    partial: list[tuple[tuple[int, ...], int, float]] = [((), 0, 0.0)]  # arcs, state, weight
    for _ in range(frames):
        longer = []
        for arcs, state, weight in partial:
            for k in range(graph.offsets[state], graph.offsets[state + 1]):
                longer.append(((*arcs, k), int(graph.target[k]), weight + float(graph.weight[k])))
        partial = longer

    complete = [path for path in partial if graph.final[path[1]] > -np.inf]
    arcs = np.array([arcs for arcs, _, _ in complete], int).reshape(len(complete), frames)
    score = np.array([weight + float(graph.final[state]) for _, state, weight in complete])
    return Paths(graph, arcs, score)


def log_sum(values: np.ndarray) -> float:
    """The log of the sum of exponentials."""
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
    survives = [all((t, int(k)) in kept for t, k in enumerate(row)) for row in paths.arcs]
    return paths.where(np.array(survives, bool))


def log_total(lattice: Lattice) -> float:
    """The log of the summed scores of all paths of a lattice."""
    total, _ = arc_occupancies(lattice)
    return total


@dataclass(frozen=True)
class Task:
    """A language of few words with everything that a criterion needs."""

    lexicon: Lexicon
    states: TiedStates
    unigram: np.ndarray
    denominator: Graph

    def numerator(self, words: Iterable[int]) -> Graph:
        """The graph of a word sequence."""
        return numerator(words, self.lexicon, self.states, self.unigram)

    def reference(self, words: Iterable[int]) -> Reference:
        """The reference ``words`` with their graph."""
        return Reference(tuple(words), lambda: self.numerator(words))


def tiny_task(seed: int = 0, tied_per_position: int = 2) -> Task:
    """Four words over three phones; two sound alike, one has two pronunciations; tied states drawn
    at random.
    """
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
    """Log posteriors [frames, states] in the precision of ``logits``."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def slopes(
    function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-4
) -> np.ndarray:
    """Central differences of a function of an array, in double precision."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up = x.copy()
        up[i] += step
        down = x.copy()
        down[i] -= step
        out[i] = (function(up) - function(down)) / (2 * step)
    return out
