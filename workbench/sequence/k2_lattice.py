"""Lattices by k2: the signature of the native search and, after exact pruning by the same code, the
same arcs. Lattices as k2's automata and back.

With `workbench.hmm.graphs.k2_fsa` the only place that imports k2. k2 prunes its lattices within
windows only and leaves states that lead nowhere, so its result is pruned again. It adapts its
search beam to ``max_active`` from frame to frame and does not report that.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.graphs.k2_fsa import FINAL, to_k2
from workbench.sequence.lattice import Lattice, prune
from workbench.sequence.search import LatticeParts, as_lattice, check_scores
from workbench.sequence.search_graph import once_per_graph

if TYPE_CHECKING:
    import k2

ATTRIBUTES = {"aux_labels": "word", "phone": "phone", "frame": "frame", "origin": "arc"}
MIN_ACTIVE = 30  # graph states per frame below which k2 widens its beam
MOST_ACTIVE = 2**30
UNBOUNDED = 1e9  # k2 wants finite beams
SLACK = 0.1  # k2 prunes in float32; the exact pruning follows


@once_per_graph
def k2_automaton(graph: Graph) -> Any:
    """Return the graph as k2's Fsa, of whose attributes only ``origin`` is kept (see `to_k2`)."""
    fsa = to_k2(graph)
    # k2 would copy all attributes of every arc into every lattice.
    del fsa.aux_labels
    del fsa.phone
    return fsa


def search(
    graph: Graph, scores: np.ndarray, beam: float, lattice_beam: float, max_active: int
) -> Lattice:
    """Return the lattice of ``scores`` [T, tied states] in ``graph``, as the native search does.

    The lattice's ``beam`` is the one asked for; ``max_active`` bounds k2's beam only roughly.
    Raises NoPath with the reason, BadScores if a score is NaN, +inf or too large.
    """
    scores, _ = check_scores(graph, scores)
    parts = _intersect(graph, scores, beam, lattice_beam, max_active)
    return prune(as_lattice(graph, scores, parts, beam), lattice_beam)


def _intersect(
    graph: Graph, scores: np.ndarray, beam: float, width: float, max_active: int
) -> LatticeParts:
    """Return k2's lattice, not pruned exactly, in the order of time."""
    import k2
    import torch

    frames = len(scores)
    columns = np.concatenate([np.full((frames, 1), -np.inf, np.float32), scores], axis=1)
    whole = torch.tensor([[0, 0, frames]], dtype=torch.int32)
    lattice = k2.intersect_dense_pruned(
        k2_automaton(graph),
        k2.DenseFsaVec(torch.from_numpy(columns)[None], whole),
        search_beam=min(beam, UNBOUNDED),
        output_beam=min(width + SLACK, UNBOUNDED),
        min_active_states=min(MIN_ACTIVE, max_active),
        max_active_states=min(max_active, MOST_ACTIVE),
        frame_idx_name="frame",
    )
    if lattice.num_arcs == 0:
        raise NoPath("no final state in the beam")
    return _in_order_of_time(lattice, frames)


def _in_order_of_time(lattice: Any, frames: int) -> LatticeParts:
    """Return the arcs of k2's ``lattice`` in order of their frame, its states numbered in that
    order.

    k2's own final state, behind the last frame, is left out; arcs into it become final weights.
    """
    source, target, label, _ = lattice.arcs.values().numpy().T
    frame = lattice.frame.numpy()
    order = np.argsort(frame, kind="stable")
    inner = order[label[order] > 0]
    ends = order[label[order] < 0]

    states = max(source.max(), target.max()) + 1
    state_frame = np.full(states, frames + 1, np.int32)
    state_frame[source] = frame
    state_frame[target[inner]] = frame[inner] + 1
    by_frame = np.argsort(state_frame, kind="stable")
    by_frame = by_frame[state_frame[by_frame] <= frames]

    number = np.zeros(states, np.int32)
    number[by_frame] = np.arange(len(by_frame))
    final = np.full(len(by_frame), -np.inf)
    final[number[source[ends]]] = lattice.scores.numpy()[ends]
    return LatticeParts(
        node_frame=state_frame[by_frame],
        final=final,
        source=number[source[inner]],
        target=number[target[inner]],
        arc=lattice.origin.numpy()[inner],
    )


def lattice_to_k2(lattice: Lattice) -> "k2.Fsa":
    """Return the lattice as an automaton that k2 can draw, compose and score.

    Labels are tied state + 1, scores the weights in float32. Attributes of arcs, all int32:
    ``aux_labels``, the word; ``phone``; ``frame``; ``origin``, the arc of the search graph. All
    four are -1 on arcs into the final state, which carry the final weights.
    """
    import k2
    import torch

    ending = np.flatnonzero(lattice.final > -np.inf).astype(np.int32)
    nothing = np.full(len(ending), FINAL, np.int32)
    source = np.concatenate([lattice.source, ending])
    target = np.concatenate([lattice.target, np.full(len(ending), lattice.nodes, np.int32)])
    label = np.concatenate([lattice.state + 1, nothing])
    weight = np.concatenate([lattice.weight, lattice.final[ending]]).astype(np.float32)

    order = np.lexsort((label, source))
    columns = np.stack([source, target, label, weight.view(np.int32)], axis=1)
    fsa = k2.Fsa(torch.from_numpy(np.ascontiguousarray(columns[order], np.int32)))
    for name, column in ATTRIBUTES.items():
        values = np.concatenate([getattr(lattice, column), nothing]).astype(np.int32)
        setattr(fsa, name, torch.from_numpy(values[order]))
    return fsa


def lattice_from_k2(fsa: "k2.Fsa") -> Lattice:
    """Return an automaton with the attributes of `lattice_to_k2` as a lattice, of infinite beam.

    What lies on no complete path is dropped. Raises NoPath if nothing is left, ValueError for a
    missing attribute, for an arc that consumes no frame, and for arcs that are not in step with
    their frames.
    """
    missing = [name for name in ATTRIBUTES if not hasattr(fsa, name)]
    if missing:
        raise ValueError(f"no lattice: its arcs have no {', '.join(missing)}")

    source, target, label, _ = fsa.arcs.values().numpy().T
    weight = fsa.scores.detach().numpy().astype(np.float64)
    frame = fsa.frame.numpy()
    inner = label != FINAL
    if (label[inner] <= 0).any():
        raise ValueError("no lattice: an arc without a tied state consumes no frame")

    frames = int(frame[inner].max(initial=-1)) + 1
    node_frame = np.full(max(0, fsa.shape[0] - 1), frames, np.int32)
    node_frame[target[inner]] = frame[inner] + 1  # of dead ends, which are no source
    node_frame[source[inner]] = frame[inner]
    node_frame[:1] = 0  # the start, also where no arc leaves it
    starts = node_frame[source[inner]] == frame[inner]
    meets = node_frame[target[inner]] == frame[inner] + 1
    if not (starts & meets).all() or (node_frame[source[~inner]] != frames).any():
        raise ValueError("no lattice: its arcs are not in step with their frames")

    by_frame = np.argsort(node_frame, kind="stable").astype(np.int32)
    number = np.empty_like(by_frame)
    number[by_frame] = np.arange(len(by_frame), dtype=np.int32)
    final = np.full(len(by_frame), -np.inf)
    final[number[source[~inner]]] = weight[~inner]

    order = np.flatnonzero(inner)[np.argsort(frame[inner], kind="stable")]
    columns = {column: getattr(fsa, name).numpy()[order] for name, column in ATTRIBUTES.items()}
    whole = Lattice(
        frames=frames,
        node_frame=node_frame[by_frame],
        final=final,
        source=number[source[order]],
        target=number[target[order]],
        state=label[order] - 1,
        weight=weight[order],
        best=-np.inf,
        beam=np.inf,
        **columns,
    )
    return prune(whole, np.inf)
