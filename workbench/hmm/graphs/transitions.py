"""The transition probabilities in the weights of a search graph, taken out, or scaled.

A node of a graph is in one tied state: all arcs into it consume that state. So the transition of an
arc follows from the node that it leaves: a loop stays in the state, any other arc leaves it, and so
does the end of the sentence. The start is in no state.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import TiedStates

NO_STATE = -1


class TransitionWeights(NamedTuple):
    """Log transition probabilities: ``arc`` float32 [arcs], and ``final`` float32 [states]."""

    arc: np.ndarray
    final: np.ndarray


def transition_weights(graph: Graph, states: TiedStates) -> TransitionWeights:
    """Return what the transitions of the tied states ``states`` add to the weights of ``graph``."""
    sources = graph.sources()
    state = np.full(graph.states, NO_STATE, np.int32)
    state[graph.target] = graph.state
    in_state = state > NO_STATE

    leave = np.where(in_state, states.leave[state], np.float32(0))
    stay = np.where(in_state, states.self_loop[state], np.float32(0))
    is_loop = sources == graph.target
    arc = np.where(is_loop, stay[sources], leave[sources])
    return TransitionWeights(arc.astype(np.float32), leave.astype(np.float32))


def scale_transitions(graph: Graph, states: TiedStates, scale: float) -> Graph:
    """Return ``graph`` with the log transition probabilities multiplied by ``scale``.

    With 1 the graph itself is returned.
    """
    if scale == 1:
        return graph
    change = np.float32(scale - 1)
    transitions = transition_weights(graph, states)
    return replace(
        graph,
        weight=graph.weight + change * transitions.arc,
        final=graph.final + change * transitions.final,
    )
