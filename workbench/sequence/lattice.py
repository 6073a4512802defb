"""Lattices: the paths through a graph that survive pruning, as arrays in the order of time."""

from dataclasses import dataclass, replace

import numba
import numpy as np

NO_SCORE = -np.inf
ARC_COLUMNS = ("frame", "state", "word", "phone", "arc", "weight")
ROUNDING = (
    1e-12  # relative: sums along one path in another order must not decide whether it is kept
)


class NoPath(Exception):
    """No complete path; ``str()`` is the reason, short enough to count utterances by."""


@dataclass(frozen=True)
class Lattice:
    """An acyclic graph over nodes of one frame boundary each; node 0 is the start, at boundary 0; natural logarithms.

    ``node_frame`` int32 [nodes], ascending; ``final`` float64 [nodes], -inf where no path may end. Per arc, in the
    order of ``frame``: ``source``, ``target`` (nodes), ``frame`` (0 .. frames - 1), ``state`` (tied state), ``word``
    (0: none), ``phone``, ``arc`` (that of the search graph), all int32; ``weight``, graph's and acoustic, float64.
    ``best``: log score of the best path; ``floor``: every arc lies on a path of at least this; ``beam``: the search
    beam that was really used, which k2 may narrow by itself.
    """

    frames: int
    node_frame: np.ndarray
    final: np.ndarray
    source: np.ndarray
    target: np.ndarray
    frame: np.ndarray
    state: np.ndarray
    word: np.ndarray
    phone: np.ndarray
    arc: np.ndarray
    weight: np.ndarray
    best: float
    floor: float
    beam: float

    @property
    def arcs(self) -> int:
        return len(self.source)

    @property
    def nodes(self) -> int:
        return len(self.final)

    @property
    def density(self) -> float:
        """Arcs per frame."""
        return self.arcs / self.frames


def prune(lattice: Lattice, width: float, floor: float | None = None) -> Lattice:
    """Exactly the arcs and nodes on paths within ``width`` of the best path, or of at least ``floor``, in double
    precision.

    Raises NoPath if there is no complete path, or none of at least ``floor``.
    """
    ahead, behind = viterbi(lattice.source, lattice.target, lattice.weight, lattice.final)
    best = behind[0] if lattice.nodes else NO_SCORE
    if best == NO_SCORE:
        raise NoPath("no complete path")
    floor = best - width if floor is None else floor
    if best < floor:
        raise NoPath("best path below the floor")
    least = floor - ROUNDING * max(1.0, abs(best))
    kept = ahead[lattice.source] + lattice.weight + behind[lattice.target] >= least
    node = ahead + behind >= least
    # Rounding may part an arc from its node; both are then dropped.
    kept &= node[lattice.source] & node[lattice.target]
    number = np.cumsum(node, dtype=np.int32) - np.int32(1)
    arcs = {name: getattr(lattice, name)[kept] for name in ARC_COLUMNS}
    return replace(
        lattice,
        node_frame=lattice.node_frame[node],
        final=np.where(ahead + lattice.final >= least, lattice.final, NO_SCORE)[node],
        source=number[lattice.source[kept]],
        target=number[lattice.target[kept]],
        best=float(best),
        floor=float(floor),
        **arcs,
    )


def restrict(lattice: Lattice, words: tuple[int, ...]) -> Lattice:
    """The paths of ``lattice`` that carry exactly ``words``: its product with the word sequence; raises NoPath if none
    does."""
    wanted = np.asarray(words, np.int32)
    reached = positions(lattice.source, lattice.target, lattice.word, lattice.final, wanted)
    number = (np.cumsum(reached, dtype=np.int32) - np.int32(1)).reshape(reached.shape)
    spoken = np.concatenate([wanted, [-1]])
    arc, before = np.nonzero(
        reached[lattice.source] & ((lattice.word == 0)[:, None] | (lattice.word[:, None] == spoken))
    )
    after = before + (lattice.word[arc] > 0)
    kept = reached[lattice.target[arc], after]
    arc, before, after = arc[kept], before[kept], after[kept]
    node, position = np.nonzero(reached)
    if not len(node):
        raise NoPath("words outside the lattice")
    arcs = {name: getattr(lattice, name)[arc] for name in ARC_COLUMNS}
    return prune(
        replace(
            lattice,
            node_frame=lattice.node_frame[node],
            final=np.where(position == len(words), lattice.final[node], NO_SCORE),
            source=number[lattice.source[arc], before],
            target=number[lattice.target[arc], after],
            **arcs,
        ),
        np.inf,
    )


@numba.njit(cache=True, nogil=True)
def positions(source, target, word, final, words):
    """Which (node, words said so far) lie on a complete path that says ``words``: bool [nodes, words + 1]."""
    ahead = np.zeros((final.size, words.size + 1), np.bool_)
    behind = np.zeros((final.size, words.size + 1), np.bool_)
    ahead[0, 0] = True
    for k in range(source.size):
        for i in range(words.size + 1):
            if ahead[source[k], i]:
                if word[k] == 0:
                    ahead[target[k], i] = True
                elif i < words.size and word[k] == words[i]:
                    ahead[target[k], i + 1] = True
    for n in range(final.size):
        behind[n, words.size] = final[n] > -np.inf
    for k in range(source.size - 1, -1, -1):
        for i in range(words.size + 1):
            j = i + (word[k] > 0)
            if j <= words.size and behind[target[k], j] and (word[k] == 0 or word[k] == words[i]):
                behind[source[k], i] = True
    return ahead & behind


@numba.njit(cache=True, nogil=True)
def viterbi(source, target, weight, final):
    """Best log score from the start to every node, and from every node to the end: two float64 [nodes]."""
    ahead = np.full(final.size, -np.inf)
    behind = final.copy()
    if final.size:
        ahead[0] = 0.0
    for k in range(source.size):
        ahead[target[k]] = max(ahead[target[k]], ahead[source[k]] + weight[k])
    for k in range(source.size - 1, -1, -1):
        behind[source[k]] = max(behind[source[k]], behind[target[k]] + weight[k])
    return ahead, behind
