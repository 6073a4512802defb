"""Search graphs as k2 automata and back; only this and `sequence.k2_lattice` import k2."""

from typing import TYPE_CHECKING

import numpy as np

from workbench.hmm.graphs.graph import Graph, from_arcs

if TYPE_CHECKING:
    import k2

FINAL = -1  # k2's label of arcs into the final state


def to_k2(graph: Graph) -> "k2.Fsa":
    """Return the graph as an automaton for ``k2.intersect_dense_pruned``.

    Labels are tied state + 1, so column 0 of k2's scores is never used. Arcs are sorted by label.
    Attributes of arcs, all int32: ``aux_labels``, the word; ``phone``; ``origin``, the arc of the
    graph. All three are -1 on arcs into the final state, which carry the final weights.
    """
    import k2
    import torch

    ending = np.flatnonzero(graph.final > -np.inf).astype(np.int32)
    nothing = np.full(len(ending), FINAL, np.int32)
    source = np.concatenate([graph.sources(), ending])
    target = np.concatenate([graph.target, np.full(len(ending), graph.states, np.int32)])
    label = np.concatenate([graph.state + 1, nothing])
    weight = np.concatenate([graph.weight, graph.final[ending]])

    order = np.lexsort((label, source))
    columns = np.stack([source, target, label, weight.view(np.int32)], axis=1)
    fsa = k2.Fsa(torch.from_numpy(np.ascontiguousarray(columns[order], np.int32)))
    attributes = {
        "aux_labels": graph.word,
        "phone": graph.phone.astype(np.int32),
        "origin": np.arange(graph.arcs, dtype=np.int32),
    }
    for name, values in attributes.items():
        setattr(fsa, name, torch.from_numpy(np.concatenate([values, nothing])[order]))
    return fsa


def from_k2(fsa: "k2.Fsa") -> Graph:
    """Return an automaton as `to_k2` makes them as a graph; ``origin`` is not needed.

    Raises ValueError for a label 0, because every arc of a graph consumes a frame and scores it by
    a tied state, and for a state with two final weights.
    """
    source, target, label, _ = fsa.arcs.values().numpy().T
    weight = fsa.scores.detach().numpy()
    inner = label != FINAL
    ending = source[~inner]
    if (label[inner] <= 0).any():
        raise ValueError("an arc without a tied state")
    if len(np.unique(ending)) < len(ending):
        raise ValueError("a state with two final weights")

    # k2's last state is the final one, which a graph does not have.
    final = np.full(fsa.shape[0] - 1, -np.inf, np.float32)
    final[ending] = weight[~inner]
    return from_arcs(
        source=source[inner],
        target=target[inner],
        state=label[inner] - 1,
        word=fsa.aux_labels.numpy()[inner],
        weight=weight[inner],
        final=final,
        phone=fsa.phone.numpy()[inner],
    )
