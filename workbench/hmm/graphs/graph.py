"""Search graphs as arrays: no epsilons, every arc consumes one frame.

A path starts in state 0, takes one arc per frame and ends in a final state. The graph's part of
its log probability is the sum of the weights of its arcs and the final weight; the acoustic part
is the sum over frames of the score of the tied state of the arc taken. Arcs are sorted by their
source, as in a sparse matrix of compressed rows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import save

from workbench.storage.files import write_file

TYPES: dict[str, type] = {
    "offsets": np.int32,
    "target": np.int32,
    "state": np.int32,
    "word": np.int32,
    "weight": np.float32,
    "final": np.float32,
    "phone": np.int16,
}
HEADER_SIZE = 8  # bytes of a safetensors file that hold the length of its header


class NoPath(Exception):
    """There is no complete path; ``str()`` is the reason, short enough to count utterances by."""


@dataclass(frozen=True)
class Graph:
    """An acceptor of sequences of tied states that carries words; natural logarithms.

    ``offsets`` [states + 1]: the arcs of state s are offsets[s] : offsets[s + 1]. Per arc:
    ``target``; ``state``, the tied state that scores the frame; ``word``, 0 for none; ``weight``;
    ``phone``. ``final`` [states]: final weights, -inf where no path may end.
    """

    offsets: np.ndarray
    target: np.ndarray
    state: np.ndarray
    word: np.ndarray
    weight: np.ndarray
    final: np.ndarray
    phone: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            object.__setattr__(self, field.name, np.ascontiguousarray(values, TYPES[field.name]))

    @property
    def states(self) -> int:
        """Number of states of the graph, not of tied states."""
        return len(self.final)

    @property
    def arcs(self) -> int:
        """Number of arcs."""
        return len(self.target)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    def sources(self) -> np.ndarray:
        """Return the source of every arc: int32 [arcs]."""
        return np.repeat(np.arange(self.states, dtype=np.int32), np.diff(self.offsets))

    def check(self) -> None:
        """Raise ValueError if the graph is broken.

        Indices must be in range and weights finite, and every state must lie on a path from the
        start to a final state.
        """
        self._check_indices()
        is_final = self.final > -np.inf
        weights_are_finite = np.isfinite(self.weight).all() and not np.isnan(self.final).any()
        if not weights_are_finite or (self.final == np.inf).any():
            raise ValueError("a weight that is not finite")
        if not is_final.any():
            raise ValueError("no final state")

        sources = self.sources()
        is_start = np.arange(self.states) == 0
        if not _reachable(sources, self.target, is_start).all():
            raise ValueError("a state that no path reaches")
        if not _reachable(self.target, sources, is_final).all():
            raise ValueError("a state from which no path ends")

    def _check_indices(self) -> None:
        """Raise ValueError if arrays do not fit together or an index is out of range."""
        columns = (self.target, self.state, self.word, self.weight, self.phone)
        lengths = {len(column) for column in columns}
        if len(self.offsets) != self.states + 1 or len(lengths) != 1:
            raise ValueError("arrays of different lengths")
        covers_arcs = self.offsets[0] == 0 and self.offsets[-1] == self.arcs
        if not covers_arcs or (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets do not partition the arcs")

        if self.arcs:
            indices = (self.target, self.state, self.word, self.phone)
            if min(column.min() for column in indices) < 0:
                raise ValueError("a negative index")
            if self.target.max() >= self.states:
                raise ValueError("an arc leads out of the graph")

    def save(self, path: Path) -> None:
        """Write all arrays to one safetensors file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        write_file(path, save(arrays))

    @classmethod
    def load(cls, path: Path) -> "Graph":
        """Map a file that ``save`` wrote into memory; all processes of a machine share one copy."""
        return cls(**map_arrays(path, TYPES))


def map_arrays(path: Path, types: Mapping[str, type]) -> dict[str, np.ndarray]:
    """Return the arrays of these names and types in a safetensors file, mapped, not read."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(HEADER_SIZE), "little")
        header = json.loads(file.read(size))

    # Copy-on-write: read-only arrays would make numba compile everything a second time.
    data = np.memmap(path, np.uint8, "c", offset=HEADER_SIZE + size)
    arrays: dict[str, np.ndarray] = {}
    for name, dtype in types.items():
        first, end = header[name]["data_offsets"]
        if not 0 <= first <= end <= len(data):
            raise ValueError(f"{path}: the array {name} goes beyond the end of the file")
        arrays[name] = np.asarray(data[first:end]).view(dtype)
    return arrays


def from_arcs(
    source: ArrayLike,
    target: ArrayLike,
    state: ArrayLike,
    word: ArrayLike,
    weight: ArrayLike,
    final: ArrayLike,
    phone: ArrayLike,
) -> Graph:
    """Return a Graph of arcs in any order; the order of each source's arcs is kept.

    ``final`` is [states], all others are [arcs].
    """
    source = np.asarray(source, np.int32)
    final = np.asarray(final)
    order = np.argsort(source, kind="stable")
    return Graph(
        offsets=_offsets(source, len(final)),
        target=np.asarray(target)[order],
        state=np.asarray(state)[order],
        word=np.asarray(word)[order],
        weight=np.asarray(weight)[order],
        final=final,
        phone=np.asarray(phone)[order],
    )


def _offsets(source: np.ndarray, states: int) -> np.ndarray:
    """Return where the arcs of each state begin once they are sorted: int64 [states + 1]."""
    counts = np.bincount(source, minlength=states)
    return np.concatenate([[0], np.cumsum(counts)])


def _reachable(source: np.ndarray, target: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Return which states can be reached from ``seed`` along arcs; both are bool [states]."""
    offsets = _offsets(source, len(seed))
    target = target[np.argsort(source, kind="stable")]
    seen = seed.copy()
    front = np.flatnonzero(seed)
    while len(front):
        counts = offsets[front + 1] - offsets[front]
        first_arc = np.repeat(offsets[front] - np.cumsum(counts) + counts, counts)
        neighbours = np.unique(target[first_arc + np.arange(counts.sum())])
        front = neighbours[~seen[neighbours]]
        seen[front] = True
    return seen
