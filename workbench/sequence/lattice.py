"""Lattices: the paths through a graph that survive pruning, as arrays in the order of time."""

from dataclasses import dataclass, replace

import numba
import numpy as np

from workbench.hmm.graphs.graph import NoPath

ARC_COLUMNS = ("frame", "state", "word", "phone", "arc", "weight")
LEAST = np.finfo(np.float64).min  # so that an infinite width keeps no path of log score -inf
ROUNDING = 1e-12  # relative: sums along a path in another order must not decide whether it is kept


@dataclass(frozen=True)
class Lattice:
    """An acyclic graph whose nodes stand at one frame boundary each; node 0 is the start, at
    boundary 0.

    Logarithms are natural. ``node_frame`` int32 [nodes], ascending; ``final`` float64 [nodes], -inf
    where no path may end. Per arc, in the order of ``frame``: ``source`` and ``target`` (nodes),
    ``frame`` (0 to frames - 1), ``state`` (tied state), ``word`` (0: none), ``phone``, ``arc`` (its
    number in the search graph), all int32; ``weight``, that of the graph and the acoustic score
    together, float64.

    ``best``: log score of the best path. ``beam``: the search beam that was used.
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
    beam: float

    @property
    def arcs(self) -> int:
        """How many arcs."""
        return len(self.source)

    @property
    def nodes(self) -> int:
        """How many nodes."""
        return len(self.final)


def prune(lattice: Lattice, width: float) -> Lattice:
    """Return exactly the arcs and nodes on paths within ``width`` of the best one, in double
    precision.

    All that is kept lies on complete paths of finite score, which compiled code relies on. Raises
    NoPath if there is none. Node 0 must be the start.
    """
    ahead, behind = viterbi(lattice.source, lattice.target, lattice.weight, lattice.final)
    best = behind[0] if lattice.nodes else -np.inf
    if best == -np.inf:
        raise NoPath("no complete path")

    least = (best - width) - ROUNDING * max(1.0, abs(best))
    least = max(least, LEAST)
    node = ahead + behind >= least
    kept = ahead[lattice.source] + lattice.weight + behind[lattice.target] >= least
    # Rounding may part an arc from its node; both are then dropped.
    kept &= node[lattice.source] & node[lattice.target]

    number = np.cumsum(node, dtype=np.int32) - np.int32(1)
    final = np.where(ahead + lattice.final >= least, lattice.final, -np.inf)
    columns = {name: getattr(lattice, name)[kept] for name in ARC_COLUMNS}
    return replace(
        lattice,
        node_frame=lattice.node_frame[node],
        final=final[node],
        source=number[lattice.source[kept]],
        target=number[lattice.target[kept]],
        best=float(best),
        **columns,
    )


def restrict(lattice: Lattice, words: tuple[int, ...]) -> Lattice:
    """Return the paths of ``lattice`` that carry exactly ``words``: its product with the word
    sequence.

    Raises NoPath if no path carries them.
    """
    wanted = np.asarray(words, np.int32)
    reached = reachable_positions(
        lattice.source, lattice.target, lattice.word, lattice.final, wanted
    )
    node, position = np.nonzero(reached)
    if not len(node):
        raise NoPath("words outside the lattice")

    # A node of the product is a node of the lattice and how many of the words have been said there.
    number = (np.cumsum(reached, dtype=np.int32) - np.int32(1)).reshape(reached.shape)
    next_word = np.concatenate([wanted, [-1]])
    silent = (lattice.word == 0)[:, None]
    fitting = silent | (lattice.word[:, None] == next_word)
    arc, before = np.nonzero(reached[lattice.source] & fitting)
    after = before + (lattice.word[arc] > 0)

    kept = reached[lattice.target[arc], after]
    arc = arc[kept]
    before = before[kept]
    after = after[kept]
    columns = {name: getattr(lattice, name)[arc] for name in ARC_COLUMNS}
    product = replace(
        lattice,
        node_frame=lattice.node_frame[node],
        final=np.where(position == len(words), lattice.final[node], -np.inf),
        source=number[lattice.source[arc], before],
        target=number[lattice.target[arc], after],
        **columns,
    )
    return prune(product, np.inf)


@numba.njit(cache=True, nogil=True)
def reachable_positions(
    source: np.ndarray, target: np.ndarray, word: np.ndarray, final: np.ndarray, words: np.ndarray
) -> np.ndarray:
    """Which (node, words said before it) lie on a complete path that carries ``words``: bool
    [nodes, words + 1].
    """
    ahead = np.zeros((final.size, words.size + 1), np.bool_)
    ahead[0, 0] = True
    for k in range(source.size):
        for i in range(words.size + 1):
            if ahead[source[k], i]:
                if word[k] == 0:
                    ahead[target[k], i] = True
                elif i < words.size and word[k] == words[i]:
                    ahead[target[k], i + 1] = True

    behind = np.zeros((final.size, words.size + 1), np.bool_)
    for n in range(final.size):
        behind[n, words.size] = final[n] > -np.inf
    for k in range(source.size - 1, -1, -1):
        for i in range(words.size + 1):
            j = i + (word[k] > 0)
            if j <= words.size and behind[target[k], j] and (word[k] == 0 or word[k] == words[i]):
                behind[source[k], i] = True
    return ahead & behind


@numba.njit(cache=True, nogil=True)
def viterbi(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, final: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best log score from the start to every node, and from every node to the end: two float64
    [nodes].
    """
    ahead = np.full(final.size, -np.inf)
    if final.size:
        ahead[0] = 0.0
    for k in range(source.size):
        ahead[target[k]] = max(ahead[target[k]], ahead[source[k]] + weight[k])

    behind = final.copy()
    for k in range(source.size - 1, -1, -1):
        behind[source[k]] = max(behind[source[k]], behind[target[k]] + weight[k])
    return ahead, behind
