"""The obvious versions that the fast ones are checked against: every path enumerated, sums taken one by one."""

from dataclasses import dataclass

import numpy as np

from workbench.hmm.graph import Graph, from_arcs


@dataclass(frozen=True)
class Path:
    """One complete path of a graph: its arcs, and the log score with the scores of the frames."""

    arcs: tuple[int, ...]
    score: float


def tiny_graph(rng: np.random.Generator, states: int = 5, arcs: int = 12, tied: int = 4, words: int = 3) -> Graph:
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


def every_path(graph: Graph, scores: np.ndarray) -> list[Path]:
    """All complete paths of ``len(scores)`` frames."""
    paths = [((), 0, 0.0)]
    for row in scores:
        paths = [
            ((*arcs, k), int(graph.target[k]), score + float(graph.weight[k]) + float(row[graph.state[k]]))
            for arcs, s, score in paths
            for k in range(graph.offsets[s], graph.offsets[s + 1])
        ]
    return [Path(arcs, score + float(graph.final[s])) for arcs, s, score in paths if graph.final[s] > -np.inf]


def log_sum(values) -> float:
    values = np.asarray(list(values), np.float64)
    return float(values.max() + np.log(np.exp(values - values.max()).sum()))


def dense_occupancies(graph: Graph, paths: list[Path], frames: int, tied: int) -> np.ndarray:
    """γ_t(s) from a list of paths: float64 [frames, tied]."""
    total = log_sum(p.score for p in paths)
    out = np.zeros((frames, tied))
    for p in paths:
        out[np.arange(frames), graph.state[list(p.arcs)]] += np.exp(p.score - total)
    return out


def pruned_paths(graph: Graph, paths: list[Path], width: float) -> list[Path]:
    """The paths made of arcs (at their frames, between their states) that lie on some path within ``width`` of the best."""
    best = max(p.score for p in paths)
    links = {(t, k) for p in paths if p.score >= best - width for t, k in enumerate(p.arcs)}
    return [p for p in paths if all((t, k) in links for t, k in enumerate(p.arcs))]


def words_of(graph: Graph, path: Path) -> tuple[int, ...]:
    return tuple(int(w) for w in graph.word[list(path.arcs)] if w)
