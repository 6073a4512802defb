"""Search graphs as k2 automata; with ``sequence/k2_lattice.py`` the only place that imports k2."""

from typing import TYPE_CHECKING

import numpy as np

from workbench.hmm.graphs.graph import Graph

if TYPE_CHECKING:
    import k2


def to_k2(graph: Graph) -> "k2.Fsa":
    """The graph for ``k2.intersect_dense_pruned``: labels are tied state + 1, ``aux_labels`` words, final arcs -1.

    Column 0 of k2's scores is therefore never used (label 0 would consume a frame, too). Arcs are sorted by label.
    """
    import k2
    import torch

    ending = np.flatnonzero(graph.final > -np.inf).astype(np.int32)
    none = np.full(len(ending), -1, np.int32)
    source = np.concatenate([graph.sources(), ending])
    label = np.concatenate([graph.state + 1, none])
    target = np.concatenate([graph.target, np.full(len(ending), graph.states, np.int32)])
    weight = np.concatenate([graph.weight, graph.final[ending]])
    word = np.concatenate([graph.word, none])
    order = np.lexsort((label, source))
    arcs = np.stack([source, target, label, weight.view(np.int32)], axis=1)[order]
    fsa = k2.Fsa(torch.from_numpy(np.ascontiguousarray(arcs, np.int32)))
    fsa.aux_labels = torch.from_numpy(word[order])
    return fsa
