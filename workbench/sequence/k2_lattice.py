"""Lattices by k2: the same signature and, after exact pruning by the same code, the same arcs as the native search.

With ``hmm/fsa.py`` the only place that imports k2. k2 prunes its lattices in windows only and leaves states that lead
nowhere, so what it returns is pruned again. It adapts its search beam to ``max_active`` from frame to frame without
telling.
"""

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.hmm.graphs.k2_fsa import to_k2
from workbench.sequence.lattice import Lattice, NoPath, prune
from workbench.sequence.search import as_lattice, checked
from workbench.sequence.search_layout import once_per_graph

MIN_ACTIVE = 30  # graph states per frame below which k2 widens its beam
UNBOUNDED = 1e9  # k2 wants finite beams
SLACK = 0.1  # k2 prunes in float32; the exact pruning follows


@once_per_graph
def automaton(graph: Graph):
    """The graph for k2, each of its arcs with the attribute ``origin``, its number in the graph (-1: an end)."""
    import torch

    fsa = to_k2(graph)
    ends = np.flatnonzero(graph.final > -np.inf)
    source = np.concatenate([graph.sources(), ends])
    label = np.concatenate([graph.state + 1, np.full(len(ends), -1)])
    arc = np.concatenate([np.arange(graph.arcs), np.full(len(ends), -1)])
    order = np.lexsort((label, source))  # as in to_k2
    if not np.array_equal(fsa.labels.numpy(), label[order]):
        raise AssertionError("hmm.fsa orders arcs otherwise")
    fsa.origin = torch.from_numpy(arc[order].astype(np.int32))
    return fsa


def search(
    graph: Graph,
    scores: np.ndarray,
    beam: float,
    lattice_beam: float,
    max_active: int,
    floor: float | None = None,
) -> Lattice:
    """The lattice of ``scores`` [T, tied states] in ``graph``, as ``search.search``; the beam recorded is the one asked
    for.

    ``max_active`` bounds k2's beam only roughly. Raises NoPath with the reason, ValueError if a score is NaN or +inf.
    """
    scores = checked(graph, scores)
    lattice = prune(_intersect(graph, scores, beam, lattice_beam, max_active), lattice_beam)
    if floor is None:
        return lattice
    if lattice.best - floor > lattice_beam:
        lattice = _intersect(graph, scores, beam, lattice.best - floor, max_active)
    return prune(lattice, lattice_beam, floor)


def _intersect(
    graph: Graph, scores: np.ndarray, beam: float, width: float, max_active: int
) -> Lattice:
    """What k2 makes of it, with weights in double precision from the graph and the scores; not pruned exactly."""
    import k2
    import torch

    frames = len(scores)
    columns = np.concatenate([np.full((frames, 1), -np.inf, np.float32), scores], axis=1)
    dense = k2.DenseFsaVec(
        torch.from_numpy(columns)[None], torch.tensor([[0, 0, frames]], dtype=torch.int32)
    )
    found = k2.intersect_dense_pruned(
        automaton(graph),
        dense,
        search_beam=min(beam, UNBOUNDED),
        output_beam=min(width + SLACK, UNBOUNDED),
        min_active_states=min(MIN_ACTIVE, max_active),
        max_active_states=min(max_active, 2**30),
        frame_idx_name="frame",
    )
    if found.num_arcs == 0:
        raise NoPath("no final state in the beam")
    source, target, label, _ = found.arcs.values().numpy().T
    frame, origin = found.frame.numpy(), found.origin.numpy()
    order = np.argsort(frame, kind="stable")
    inner, ends = order[label[order] > 0], order[label[order] < 0]
    # States that k2 numbers, in the order of their frame; its own final state, behind the last frame, is left out.
    state_frame = np.full(max(source.max(), target.max()) + 1, frames + 1, np.int32)
    state_frame[source], state_frame[target[inner]] = frame, frame[inner] + 1
    by_frame = np.argsort(state_frame, kind="stable")
    by_frame = by_frame[state_frame[by_frame] <= frames]
    number = np.zeros(len(state_frame), np.int32)
    number[by_frame] = np.arange(len(by_frame))
    final = np.full(len(by_frame), -np.inf)
    final[number[source[ends]]] = found.scores.numpy()[ends]
    return as_lattice(
        graph,
        scores,
        state_frame[by_frame],
        final,
        number[source[inner]],
        number[target[inner]],
        origin[inner],
        beam,
    )
