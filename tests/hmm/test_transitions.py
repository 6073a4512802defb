"""Transition probabilities taken out of search graphs, and scaled."""

from dataclasses import replace

import numpy as np
import pytest
from oracles import every_path
from small_graphs import LEXICON, UNIGRAM, random_states

from workbench.hmm.graphs.denominator import denominator
from workbench.hmm.graphs.graph import Graph
from workbench.hmm.graphs.numerator import numerator
from workbench.hmm.graphs.transitions import scale_transitions, transition_weights
from workbench.hmm.states import TiedStates


def graphs(states: TiedStates) -> list[Graph]:
    """A numerator and a denominator."""
    return [
        numerator((2, 1), LEXICON, states, UNIGRAM),
        denominator(LEXICON, UNIGRAM, states),
    ]


def other_transitions(states: TiedStates) -> TiedStates:
    """The same tied states with other self loops."""
    draw = np.random.default_rng(1)
    return replace(states, self_loop=np.log(draw.uniform(0.1, 0.9, states.count)))


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_left_does_not_depend_on_the_transitions(which):
    """Graphs of the same words under two sets of self loops have the same weights without them."""
    first = random_states(0)
    second = other_transitions(first)
    bare = []
    for states in (first, second):
        graph = graphs(states)[which]
        transitions = transition_weights(graph, states)
        assert (transitions.arc[graph.sources() > 0] < 0).all()
        bare.append((graph.weight - transitions.arc, graph.final - transitions.final))
    np.testing.assert_allclose(bare[0][0], bare[1][0], atol=1e-5)
    np.testing.assert_allclose(bare[0][1], bare[1][1], atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.1, 0.5, 2.0])
def test_a_path_has_its_transitions_scaled(scale):
    """The score of each path is that of its words plus ``scale`` times its log transitions, which
    are counted here along its states.
    """
    states = random_states(0)
    graph = numerator((1,), LEXICON, states, UNIGRAM)
    frames = 9
    silent = np.zeros((frames, states.count), np.float32)
    paths = every_path(graph, silent)
    scaled = every_path(scale_transitions(graph, states, scale), silent)
    assert (scaled.states == paths.states).all()

    for path, before, after in zip(paths.states, paths.score, scaled.score, strict=True):
        stays = path[1:] == path[:-1]
        transitions = states.self_loop[path[:-1][stays]].sum()
        transitions += states.leave[path[:-1][~stays]].sum() + states.leave[path[-1]]
        assert after - before == pytest.approx((scale - 1) * transitions, abs=1e-4)


def test_scale_one_is_the_graph_itself():
    """The default costs nothing: no copy is made."""
    states = random_states(0)
    for graph in graphs(states):
        assert scale_transitions(graph, states, 1.0) is graph
        graph.check()
        scale_transitions(graph, states, 0.3).check()
