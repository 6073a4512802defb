"""Time-synchronous beam search: which paths through a graph explain the scores of an utterance.

The lattice is exact in this sense: per frame boundary the tokens within ``beam`` of the best (and of these the best
``max_active``) are kept; the lattice holds all arcs between kept tokens that lie on a complete path within
``lattice_beam`` of the best one. Its values do not depend on the order of arcs, on threads, or on what was searched
before.
"""

import threading

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.sequence import search_backward as backwards
from workbench.sequence import search_forward
from workbench.sequence.lattice import Lattice, NoPath, prune
from workbench.sequence.search_layout import Compiled, compiled

SLACK = 1e-3  # the first pruning sums in float32; the exact one, in double, follows


class Workspace:
    """Arrays that searches of one thread use again and again; they grow when too small, and are never shared."""

    def __init__(self):
        self.score = np.empty(0, np.float32)
        self.marks = np.empty(0, np.uint64)
        self.number = np.empty(0, np.uint32)
        self.size_tokens(1 << 16)
        self.size_arcs(1 << 12)

    def size_states(self, states: int) -> None:
        """Room for graphs of so many states."""
        if len(self.score) < states:
            self.score = np.full(states, search_forward.NEG, np.float32)
            self.marks = np.zeros(states // 64 + 1, np.uint64)
            self.place = np.full(states, -1, np.int32)
            self.number = np.full(states, backwards.NONE, np.uint32)

    def size_tokens(self, tokens: int) -> None:
        self.tokens = np.empty(tokens, np.uint32), np.empty(tokens, np.float32)

    def size_arcs(self, arcs: int) -> None:
        self.nodes = np.empty(arcs, np.uint32), np.empty(arcs, np.int32), np.empty(arcs, np.float64)
        self.arcs = np.empty(arcs, np.int32), np.empty(arcs, np.int32), np.empty(arcs, np.int64)


_threads = threading.local()


def search(
    graph: Graph,
    scores: np.ndarray,
    beam: float,
    lattice_beam: float,
    max_active: int,
    floor: float | None = None,
    workspace: Workspace | None = None,
) -> Lattice:
    """The lattice of ``scores`` [T, tied states] (log, acoustic scale included; -inf forbids) in ``graph``.

    ``floor``: keep paths of at least this log score instead of those within ``lattice_beam`` of the best, so that
    numerator and denominator are pruned alike. Raises NoPath with the reason, ValueError if a score is NaN or +inf.
    """
    scores = checked(graph, scores)
    if workspace is None:
        workspace = _own_workspace()
    layout = compiled(graph)
    workspace.size_states(graph.states)
    starts, norm = forward(layout, scores, beam, max_active, workspace)
    frame, final, source, target, arc = backward(
        layout, scores, lattice_beam, floor, workspace, starts, norm
    )
    return prune(
        as_lattice(graph, scores, frame, final, source, target, arc, beam), lattice_beam, floor
    )


def checked(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """``scores`` as the searches want them; raises NoPath or ValueError where they cannot be searched."""
    scores = np.require(scores, np.float32, ["C", "W"])
    last = compiled(graph).last_state
    if scores.ndim != 2 or scores.shape[1] <= last:
        raise ValueError(f"scores of shape {scores.shape} for a graph with tied state {last}")
    if not (scores < np.inf).all():
        raise ValueError("a score is NaN or infinite")
    if len(scores) == 0:
        raise NoPath("no frames")
    return scores


def _own_workspace() -> Workspace:
    if not hasattr(_threads, "workspace"):
        _threads.workspace = Workspace()
    return _threads.workspace


def forward(
    layout: Compiled, scores, beam: float, max_active: int, space: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the tokens of ``space``; returns their bounds per frame and the best score of each; raises NoPath."""
    starts, norm = np.zeros(len(scores) + 2, np.int64), np.zeros(len(scores) + 1)
    graph = layout.graph
    while True:
        tokens = search_forward.forward(
            layout.head,
            layout.label,
            graph.weight,
            graph.final,
            scores,
            np.float32(beam),
            max_active,
            space.score,
            space.marks[: graph.states // 64 + 1],
            *space.tokens,
            starts,
            norm,
        )
        if tokens != search_forward.FULL:
            break
        space.size_tokens(2 * len(space.tokens[0]) + graph.states)
    if starts[-1] == starts[-2]:
        empty = np.flatnonzero(np.diff(starts) == 0)[0]
        raise NoPath(
            "no final state in the beam" if empty == len(scores) else "no state in the beam"
        )
    return starts, norm


def backward(
    layout: Compiled, scores, width: float, floor: float | None, space: Workspace, starts, norm
):
    """(frames and final weights of the nodes, sources, targets, arcs) of what survives, in time; raises NoPath."""
    graph = layout.graph
    while True:
        nodes, arcs = backwards.backward(
            layout.back_head,
            layout.back_label,
            layout.back_weight,
            graph.final,
            scores,
            width + SLACK,
            np.nan if floor is None else floor - SLACK,
            *space.tokens,
            starts,
            norm,
            space.place,
            space.number,
            *space.nodes,
            *space.arcs,
        )
        if nodes != search_forward.FULL:
            break
        space.size_arcs(4 * len(space.arcs[0]))
    if nodes == 0:
        raise NoPath("best path below the floor")
    states, frames = (a[:nodes][::-1].astype(np.int32) for a in space.nodes[:2])
    source, target = (nodes - 1 - a[:arcs][::-1] for a in space.arcs[:2])
    final = np.where(frames == len(scores), graph.final[states], -np.inf)
    return frames, final, source, target, space.arcs[2][:arcs][::-1].copy()


def as_lattice(
    graph: Graph, scores, node_frame, final, source, target, arc, beam: float
) -> Lattice:
    """A Lattice from nodes and arcs of ``graph`` in the order of time; not pruned yet."""
    frame = node_frame[source]
    state = graph.state[arc]
    return Lattice(
        frames=len(scores),
        node_frame=node_frame,
        final=final.astype(np.float64),
        source=source,
        target=target,
        frame=frame,
        state=state,
        word=graph.word[arc],
        phone=graph.phone[arc].astype(np.int32),
        arc=arc.astype(np.int32),
        weight=graph.weight[arc].astype(np.float64) + scores[frame, state],
        best=np.nan,
        floor=np.nan,
        beam=float(beam),
    )
