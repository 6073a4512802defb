"""A search graph laid out for the search, made once and kept as long as the graph lives."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from workbench.hmm.graphs.graph import Graph

T = TypeVar("T")


@dataclass(frozen=True)
class Compiled:
    """Unsigned indices spare the compiled loops the test for negative ones.

    ``head`` uint32 [states + 1]: the rows of ``label`` uint32 [arcs, 2] (target, tied state) and of the graph's
    weights. ``back_head`` [states + 1], ``back_source``, ``back_arc`` [arcs] uint32: the arcs into every state.
    ``last_state``: the highest tied state.
    """

    graph: Graph
    last_state: int
    head: np.ndarray
    label: np.ndarray
    back_head: np.ndarray
    back_label: np.ndarray
    back_weight: np.ndarray


def once_per_graph(make: Callable[[Graph], T]) -> Callable[[Graph], T]:
    """``make``, called once for every graph; what it made is kept as long as the graph lives."""
    made: dict[int, T] = {}

    def known(graph: Graph) -> T:
        if id(graph) not in made:
            # A copy that shares the arrays: if the result held its own graph, that would never die.
            made[id(graph)] = make(replace(graph))
            weakref.finalize(graph, made.pop, id(graph), None)
        return made[id(graph)]

    return known


@once_per_graph
def compiled(graph: Graph) -> Compiled:
    """The layout of ``graph``, made at its first use."""
    back = np.argsort(graph.target, kind="stable")
    into = np.bincount(graph.target, minlength=graph.states)
    return Compiled(
        graph,
        int(graph.state.max(initial=-1)),
        graph.offsets.astype(np.uint32),
        np.stack([graph.target, graph.state], axis=1).astype(np.uint32),
        np.concatenate([[0], np.cumsum(into)]).astype(np.uint32),
        np.stack([graph.sources()[back], graph.state[back], back], axis=1).astype(np.uint32),
        graph.weight[back],
    )
