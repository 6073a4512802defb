"""Search graphs as arrays: no epsilons, every arc consumes one frame.

A path starts in state 0, takes one arc per frame and ends in a final state. The graph part of its log probability is
the sum of the weights of its arcs plus the final weight; the acoustic part is the sum over frames of the score of the
tied state of the arc taken. Arcs are sorted by their source, as in a sparse matrix of compressed rows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TYPES = {
    "offsets": np.int32,
    "target": np.int32,
    "state": np.int32,
    "word": np.int32,
    "weight": np.float32,
    "final": np.float32,
    "phone": np.int16,
}


class NoPath(Exception):
    """There is no complete path; ``str()`` is the reason, short enough to count utterances by."""


@dataclass(frozen=True)
class Graph:
    """An acceptor of tied-state sequences that carries words; natural logarithms.

    ``offsets`` [states + 1]: the arcs of state s are offsets[s] : offsets[s + 1]; ``target``, ``state`` (the tied state
    whose score the frame gets), ``word`` (0: none), ``weight``, ``phone`` [arcs]; ``final`` [states], -inf: not final.
    """

    offsets: np.ndarray
    target: np.ndarray
    state: np.ndarray
    word: np.ndarray
    weight: np.ndarray
    final: np.ndarray
    phone: np.ndarray

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(
                self, f.name, np.ascontiguousarray(getattr(self, f.name), TYPES[f.name])
            )

    @property
    def states(self) -> int:
        """How many states, not to be confused with tied states."""
        return len(self.final)

    @property
    def arcs(self) -> int:
        return len(self.target)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, f.name).nbytes for f in fields(self))

    def sources(self) -> np.ndarray:
        """The source of every arc: int32 [arcs]."""
        return np.repeat(np.arange(self.states, dtype=np.int32), np.diff(self.offsets))

    def check(self) -> None:
        """Raise ValueError unless indices are in range, weights finite, and every state lies on a path to an end."""
        arcs = (self.target, self.state, self.word, self.weight, self.phone)
        if len(self.offsets) != self.states + 1 or len({len(a) for a in arcs}) != 1:
            raise ValueError("arrays of different lengths")
        if (
            self.offsets[0] != 0
            or self.offsets[-1] != self.arcs
            or (np.diff(self.offsets) < 0).any()
        ):
            raise ValueError("offsets do not partition the arcs")
        if self.arcs and (
            min(a.min() for a in (self.target, self.state, self.word, self.phone)) < 0
        ):
            raise ValueError("a negative index")
        if self.arcs and self.target.max() >= self.states:
            raise ValueError("an arc leads out of the graph")
        if (
            not np.isfinite(self.weight).all()
            or np.isnan(self.final).any()
            or (self.final == np.inf).any()
        ):
            raise ValueError("a weight that is not finite")
        if not (self.final > -np.inf).any():
            raise ValueError("no final state")
        sources = self.sources()
        if not _closure(sources, self.target, np.arange(self.states) == 0).all():
            raise ValueError("a state that no path reaches")
        if not _closure(self.target, sources, self.final > -np.inf).all():
            raise ValueError("a state from which no path ends")

    def save(self, path: Path) -> None:
        """Write all arrays to one safetensors file."""
        save_file({f.name: getattr(self, f.name) for f in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """Map what ``save`` wrote into memory, so that all processes of a machine share one copy."""
        return cls(**mapped(path, TYPES))


def mapped(path: Path, types: Mapping[str, type]) -> dict[str, np.ndarray]:
    """The arrays of these names and types in a safetensors file, without reading them."""
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    # Copy-on-write: the arrays are not read-only, which would make numba compile everything a second time.
    data = np.memmap(path, np.uint8, "c", offset=8 + size)
    spans = {name: header[name]["data_offsets"] for name in types}
    return {name: np.asarray(data[a:b]).view(types[name]) for name, (a, b) in spans.items()}


def from_arcs(source, target, state, word, weight, final, phone) -> Graph:
    """A Graph of arcs in any order (``source`` [arcs], ``final`` [states]); the order of each source's arcs is kept."""
    source = np.asarray(source, np.int32)
    order = np.argsort(source, kind="stable")
    offsets = np.zeros(len(final) + 1, np.int32)
    np.cumsum(np.bincount(source, minlength=len(final)), out=offsets[1:])
    target, state, word, weight, phone = (
        np.asarray(a)[order] for a in (target, state, word, weight, phone)
    )
    return Graph(offsets, target, state, word, weight, np.asarray(final), phone)


def _closure(source: np.ndarray, target: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Which states can be reached from ``seed`` (bool [states]) along the arcs, breadth first."""
    offsets = np.zeros(len(seed) + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=len(seed)), out=offsets[1:])
    target = target[np.argsort(source, kind="stable")]
    seen = seed.copy()
    front = np.flatnonzero(seed)
    while len(front):
        counts = offsets[front + 1] - offsets[front]
        starts = np.repeat(offsets[front] - np.cumsum(counts) + counts, counts)
        reached = np.unique(target[starts + np.arange(counts.sum())])
        front = reached[~seen[reached]]
        seen[front] = True
    return seen
