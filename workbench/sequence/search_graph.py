"""A search graph as the compiled search reads it, made once for every graph."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from workbench.hmm.graphs.graph import Graph

T = TypeVar("T")

# Columns of the labels of arcs. END is the state at the far end: the target of an outgoing arc, the
# source of an incoming one.
END = 0
TIED_STATE = 1
ARC = 2


class OutgoingArcs(NamedTuple):
    """The arcs out of each state: those of state s are head[s] : head[s + 1].

    ``head`` uint32 [states + 1], ``label`` uint32 [arcs, 2] (columns END and TIED_STATE),
    ``weight`` float32 [arcs], ``final`` float32 [states]. Unsigned indices spare compiled loops the
    test for negative ones.
    """

    head: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    final: np.ndarray


class IncomingArcs(NamedTuple):
    """The arcs into each state: those of state s are head[s] : head[s + 1].

    Arrays as in `OutgoingArcs`; ``label`` uint32 [arcs, 3] has the number of the arc in the graph
    as its third column, ARC.
    """

    head: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    final: np.ndarray


@dataclass(frozen=True)
class SearchGraph:
    """A ``graph`` with its arcs in both directions.

    ``last_tied_state`` is the highest that occurs, -1 if none; ``largest_weight`` the largest
    magnitude of a weight of an arc.
    """

    graph: Graph
    last_tied_state: int
    largest_weight: float
    outgoing: OutgoingArcs
    incoming: IncomingArcs


def once_per_graph(make: Callable[[Graph], T]) -> Callable[[Graph], T]:
    """Return ``make`` with a memory: it is called once for every graph, whose result is kept while
    the graph lives.
    """
    made: dict[int, T] = {}

    def remembered(graph: Graph) -> T:
        key = id(graph)
        if key not in made:
            # A copy that shares the arrays: a result that held the graph itself would keep it alive
            # for ever.
            made[key] = make(replace(graph))
            weakref.finalize(graph, made.pop, key, None)
        return made[key]

    return remembered


@once_per_graph
def search_graph(graph: Graph) -> SearchGraph:
    """Return ``graph`` with its arcs sorted in both directions."""
    by_target = np.argsort(graph.target, kind="stable")
    arcs_into = np.bincount(graph.target, minlength=graph.states)
    outgoing = OutgoingArcs(
        head=graph.offsets.astype(np.uint32),
        label=np.stack([graph.target, graph.state], axis=1).astype(np.uint32),
        weight=graph.weight,
        final=graph.final,
    )
    incoming = IncomingArcs(
        head=np.concatenate([[0], np.cumsum(arcs_into)]).astype(np.uint32),
        label=np.stack(
            [graph.sources()[by_target], graph.state[by_target], by_target], axis=1
        ).astype(np.uint32),
        weight=graph.weight[by_target],
        final=graph.final,
    )
    finite = graph.weight[graph.weight > -np.inf]
    return SearchGraph(
        graph=graph,
        last_tied_state=int(graph.state.max(initial=-1)),
        largest_weight=float(np.abs(finite).max(initial=0.0)),
        outgoing=outgoing,
        incoming=incoming,
    )
