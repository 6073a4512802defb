"""A search graph laid out for the search: packed arcs, shared fans, arcs by target.

Word ends fan out to every first phone, and all word ends with the same last phone fan out alike up to a constant. Of
such states only the best token matters for the best score of what follows, so the shared fan is kept once, behind a
pseudo-state, and expanded once per frame. The backward pass looks at the arcs as they were, so nothing is approximated.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from workbench.hmm.graph import Graph

T = TypeVar("T")
FAN = 8  # arcs from which on sharing is looked for
SAME = 1e-5  # log probabilities that differ by less are one; 100 times less than the slack of the first pruning
NONE = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True)
class Compiled:
    """Graph for ``search.forward`` and ``search.backward``; S states, the last of them pseudo-states; ``last_state``:
    the highest tied state.

    ``head`` uint32 [S + 1]: rows of ``label`` uint32 [n, 2] (target, tied state) and ``weight`` float32 [n].
    ``fan`` uint32 [states]: the pseudo-state that a state also leads to without a frame (or NONE), at ``shift``.
    ``back_head`` [states + 1], ``back_source``, ``back_arc`` [arcs] uint32: the arcs into every state.
    """

    graph: Graph
    last_state: int
    head: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    fan: np.ndarray
    shift: np.ndarray
    back_head: np.ndarray
    back_source: np.ndarray
    back_arc: np.ndarray


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


def compile_graph(graph: Graph) -> Compiled:
    """Lay ``graph`` out anew: one sort of the arcs, and a dictionary of the states with many arcs."""
    fan, shift, first = shared_fans(graph)
    source = graph.sources()
    in_fan = (fan[source] != NONE) & (graph.target != source)
    own = np.flatnonzero(~in_fan)
    shared = [np.flatnonzero(in_fan[slice(*graph.offsets[s : s + 2])]) + graph.offsets[s] for s in first]
    counts = np.concatenate([np.bincount(source[own], minlength=graph.states), [len(a) for a in shared]])
    head = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    arcs = np.concatenate([own, *shared]).astype(np.int64)
    back = np.argsort(graph.target, kind="stable")
    return Compiled(
        graph,
        int(graph.state.max(initial=-1)),
        head,
        np.stack([graph.target[arcs], graph.state[arcs]], axis=1).astype(np.uint32),
        graph.weight[arcs],
        fan,
        shift,
        np.concatenate([[0], np.cumsum(np.bincount(graph.target, minlength=graph.states))]).astype(np.uint32),
        source[back].astype(np.uint32),
        back.astype(np.uint32),
    )


def shared_fans(graph: Graph) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Which states share their arcs (self loops apart) up to a constant: (pseudo-state or NONE, shift, first
    members)."""
    fan = np.full(graph.states, NONE, np.uint32)
    shift = np.zeros(graph.states, np.float32)
    alike: dict[bytes, list[list[int]]] = {}
    arcs_of = {}
    for s in np.flatnonzero(np.diff(graph.offsets) >= FAN).tolist():
        arcs = np.arange(graph.offsets[s], graph.offsets[s + 1])
        arcs = arcs[graph.target[arcs] != s]
        key = np.stack([graph.target[arcs], graph.state[arcs], graph.word[arcs]])
        order = np.lexsort(key)
        arcs_of[s] = arcs[order]
        groups = alike.setdefault(key[:, order].tobytes(), [])
        for group in groups:
            difference = graph.weight[arcs_of[s]] - graph.weight[arcs_of[group[0]]]
            if np.ptp(difference) < SAME:
                shift[s] = difference.mean()
                group.append(s)
                break
        else:
            groups.append([s])
    fans = [group for groups in alike.values() for group in groups if len(group) > 1]
    for i, group in enumerate(fans):
        fan[group] = graph.states + i
    return fan, shift, [group[0] for group in fans]


compiled = once_per_graph(compile_graph)
