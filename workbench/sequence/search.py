"""Time-synchronous beam search: which paths through a graph explain the scores of an utterance.

The lattice is exact in this sense: at each frame boundary the tokens within ``beam`` of the best,
and of these the best ``max_active``, are kept; the lattice holds all arcs between kept tokens that
lie on a complete path within ``lattice_beam`` of the best one. Its values do not depend on the
order of arcs, on threads, or on what was searched before.
"""

import threading
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.scores import largest_score
from workbench.sequence.lattice import Lattice, prune
from workbench.sequence.search_graph import SearchGraph, search_graph
from workbench.sequence.token_passing import (
    FULL,
    UNNUMBERED,
    UNREACHED,
    ArcsFound,
    BackwardScratch,
    ForwardScratch,
    Tokens,
    pass_tokens,
    recover_arcs,
)

SLACK = 1e-3  # least width by which the compiled search keeps more than the exact pruning
STEP_ROUNDING = 6 * 2.0**-24  # of a step: three sums of float32 numbers, each of two magnitudes
TOKENS = 1 << 16  # room of a new workspace
ARCS = 1 << 12


class SearchWorkspace:
    """Arrays that the searches of one thread use again and again; never shared between threads.

    ``tokens`` and ``arcs`` are the room to begin with. Arrays that turn out too small are replaced.
    """

    def __init__(self, tokens: int = TOKENS, arcs: int = ARCS) -> None:
        self.resize_states(0)
        self.resize_tokens(tokens)
        self.resize_arcs(arcs)

    def resize_states(self, states: int) -> None:
        """Make room for graphs of so many states."""
        self.states = states
        self.forward = ForwardScratch(
            score=np.full(states, UNREACHED, np.float32),
            marks=np.zeros(states // 64 + 1, np.uint64),
        )
        self.backward = BackwardScratch(
            place=np.full(states, -1, np.int32),
            number=np.full(states, UNNUMBERED, np.uint32),
        )

    def resize_tokens(self, tokens: int) -> None:
        """Make room for so many tokens of an utterance."""
        self.token_state = np.empty(tokens, np.uint32)
        self.token_alpha = np.empty(tokens, np.float32)

    def resize_arcs(self, arcs: int) -> None:
        """Make room for so many arcs, and as many nodes, of a lattice."""
        self.found = ArcsFound(
            node_state=np.empty(arcs, np.uint32),
            node_frame=np.empty(arcs, np.int32),
            beta=np.empty(arcs, np.float64),
            source=np.empty(arcs, np.int32),
            target=np.empty(arcs, np.int32),
            arc=np.empty(arcs, np.int64),
        )


class LatticeParts(NamedTuple):
    """Nodes and arcs of a lattice in the order of time, by which graph arc they are.

    Per node ``node_frame`` int32 and ``final`` floating point; per arc the nodes ``source`` and
    ``target`` and the graph's ``arc``, integers.
    """

    node_frame: np.ndarray
    final: np.ndarray
    source: np.ndarray
    target: np.ndarray
    arc: np.ndarray


_threads = threading.local()


def search(
    graph: Graph,
    scores: np.ndarray,
    beam: float,
    lattice_beam: float,
    max_active: int,
    workspace: SearchWorkspace | None = None,
) -> Lattice:
    """Return the lattice of ``scores`` [T, tied states] in ``graph``.

    ``scores``: log, acoustic scale included; -inf forbids a state. ``beam``, ``lattice_beam`` (log
    probability) and ``max_active`` (tokens of a frame) as in the module's docstring. ``workspace``:
    by default the calling thread's. Raises NoPath with the reason, BadScores if a score is NaN,
    +inf or too large.
    """
    scores, largest = check_scores(graph, scores)
    workspace = workspace or _workspace_of_thread()
    searched = search_graph(graph)
    if workspace.states < graph.states:
        workspace.resize_states(graph.states)

    tokens = _pass_tokens(searched, scores, beam, max_active, workspace)
    width = lattice_beam + rounding_slack(searched, largest, tokens)
    parts = _recover_arcs(searched, scores, width, tokens, workspace)
    return prune(as_lattice(graph, scores, parts, beam), lattice_beam)


def check_scores(graph: Graph, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (``scores`` as float32 in C order, their largest magnitude).

    Raises NoPath without frames, BadScores for scores that cannot be searched, and ValueError for
    an array that does not fit the graph.
    """
    scores = np.require(scores, np.float32, ["C", "W"])
    last = search_graph(graph).last_tied_state
    if scores.ndim != 2 or scores.shape[1] <= last:
        raise ValueError(f"scores of shape {scores.shape} for a graph with tied state {last}")
    if len(scores) == 0:
        raise NoPath("no frames")
    return scores, largest_score(scores)


def _workspace_of_thread() -> SearchWorkspace:
    if not hasattr(_threads, "workspace"):
        _threads.workspace = SearchWorkspace()
    workspace: SearchWorkspace = _threads.workspace
    return workspace


def _pass_tokens(
    searched: SearchGraph,
    scores: np.ndarray,
    beam: float,
    max_active: int,
    workspace: SearchWorkspace,
) -> Tokens:
    """Return the tokens of every frame boundary, in arrays of ``workspace``; raises NoPath."""
    frames = len(scores)
    states = searched.graph.states
    # The marks of a larger graph's states stay out: reading them would take time.
    scratch = workspace.forward._replace(marks=workspace.forward.marks[: states // 64 + 1])
    starts = np.zeros(frames + 2, np.int64)
    norm = np.zeros(frames + 1)

    while True:
        tokens = Tokens(workspace.token_state, workspace.token_alpha, starts, norm)
        count = pass_tokens(
            searched.outgoing, scores, np.float32(beam), max_active, scratch, tokens
        )
        if count != FULL:
            break
        workspace.resize_tokens(2 * len(workspace.token_state) + states)

    if starts[-1] == starts[-2]:
        empty = np.flatnonzero(np.diff(starts) == 0)[0]
        at_end = empty == frames
        raise NoPath("no final state in the beam" if at_end else "no state in the beam")
    return tokens


def rounding_slack(searched: SearchGraph, largest: float, tokens: Tokens) -> float:
    """Return by how much a path's score may seem too low to the backward pass.

    ``largest`` is the largest magnitude of the acoustic scores. A step of the forward pass is
    alpha + weight, + score, - best, in float32. With M the sum of the largest magnitudes of the
    three, no intermediate result is above 2 M, so a step is wrong by at most STEP_ROUNDING * M, and
    a path of T frames by T times that. The best path, to which others are compared, may be wrong by
    as much to the other side. With this slack the best path itself is never pruned: the arcs that
    are found reach the start whatever the scores are.
    """
    frames = len(tokens.norm) - 1
    lowest = float(tokens.alpha[: tokens.starts[-1]].min(initial=0.0))
    magnitude = largest + searched.largest_weight - lowest
    return max(SLACK, 2 * frames * STEP_ROUNDING * magnitude)


def _recover_arcs(
    searched: SearchGraph,
    scores: np.ndarray,
    width: float,
    tokens: Tokens,
    workspace: SearchWorkspace,
) -> LatticeParts:
    """Return copies of the nodes and arcs on paths within ``width`` of the best, in the order of
    time.

    Raises NoPath if they do not reach the start, which `rounding_slack` excludes.
    """
    while True:
        found = workspace.found
        nodes, arcs = recover_arcs(
            searched.incoming, scores, width, tokens, workspace.backward, found
        )
        if nodes != FULL:
            break
        workspace.resize_arcs(4 * len(found.arc))

    states = found.node_state[:nodes][::-1].astype(np.int32)
    frame = found.node_frame[:nodes][::-1].astype(np.int32)
    if not nodes or frame[0] != 0:
        raise NoPath("no complete path")
    return LatticeParts(
        node_frame=frame,
        final=np.where(frame == len(scores), searched.graph.final[states], -np.inf),
        source=nodes - 1 - found.source[:arcs][::-1],
        target=nodes - 1 - found.target[:arcs][::-1],
        arc=found.arc[:arcs][::-1].copy(),
    )


def as_lattice(graph: Graph, scores: np.ndarray, parts: LatticeParts, beam: float) -> Lattice:
    """Return ``parts`` as a Lattice with weights in double precision from graph and scores; not
    pruned yet.
    """
    frame = parts.node_frame[parts.source]
    state = graph.state[parts.arc]
    return Lattice(
        frames=len(scores),
        node_frame=parts.node_frame,
        final=parts.final.astype(np.float64),
        source=parts.source,
        target=parts.target,
        frame=frame,
        state=state,
        word=graph.word[parts.arc],
        phone=graph.phone[parts.arc].astype(np.int32),
        arc=parts.arc.astype(np.int32),
        weight=graph.weight[parts.arc].astype(np.float64) + scores[frame, state],
        best=np.nan,
        beam=float(beam),
    )
