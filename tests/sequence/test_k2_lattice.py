"""k2 and the native search against each other, and both against Kaldi's decoders, where these are
installed.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldi_decoders import KaldiGraph
from oracles import log_softmax, tiny_graph, tiny_scores, tiny_task

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.sequence import search as native
from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import best_path, occupancies
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings


@pytest.fixture(scope="module")
def k2_search():
    pytest.importorskip("k2")
    from workbench.sequence import k2_lattice

    return k2_lattice.search


def larger_case(seed: int, frames: int = 30) -> tuple[Graph, np.ndarray]:
    """A random graph and scores of so many frames."""
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng, states=40, arcs=200, tied=12)
    return graph, tiny_scores(rng, frames, 12)


def arcs_of(lattice: Lattice) -> list[tuple[int, int, int, int]]:
    """The arcs as a sorted list of (frame, state, word, phone), which does not name nodes."""
    columns = (lattice.frame, lattice.state, lattice.word, lattice.phone)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.k2
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 6.0))
def test_k2_and_native_agree(k2_search, seed, width):
    """With a search beam that does not bind, both give the same arcs, totals to 1e-4 and
    occupancies.
    """
    graph, scores = larger_case(seed)
    ours = native.search(graph, scores, 60.0, width, 10**6)
    theirs = k2_search(graph, scores, 60.0, width, 10**6)
    assert (ours.nodes, ours.arcs) == (theirs.nodes, theirs.arcs)
    assert ours.best == pytest.approx(theirs.best, abs=1e-6)
    assert arcs_of(ours) == arcs_of(theirs)
    our_total, our_gamma = occupancies(ours)
    their_total, their_gamma = occupancies(theirs)
    assert our_total == pytest.approx(their_total, abs=1e-4)
    np.testing.assert_allclose(our_gamma.dense(12), their_gamma.dense(12), atol=1e-4)


@pytest.mark.k2
def test_k2_raises_where_there_is_no_path(k2_search):
    """An utterance that is too short raises NoPath from k2 as natively; NaN is refused."""
    task = tiny_task()
    scores = np.zeros((2, task.states.count), np.float32)
    for engine in (native.search, k2_search):
        with pytest.raises(NoPath):
            engine(task.denominator, scores, 10.0, 6.0, 1000)
        with pytest.raises(ValueError, match="not finite"):
            engine(task.denominator, scores * np.nan, 10.0, 6.0, 1000)


@pytest.mark.k2
def test_criterion_is_the_same_with_either_engine(k2_search):
    """The whole outer gradient is the same with lattice_engine=k2 and native."""
    task = tiny_task(2)
    log_p = log_softmax(np.random.default_rng(0).normal(0, 2, (25, task.states.count)))
    limits = {"acoustic_scale": 0.5, "beam": 40.0, "lattice_beam": 8.0, "cancellation": 1e-3}

    def decode(engine: str):
        chosen = Settings.of(criterion="mmi", lattice_engine=engine, **limits)
        prior = np.zeros(task.states.count)
        return decode_outer(log_p, task.reference((1, 3)), task.denominator, prior, chosen)

    ours = decode("native")
    theirs = decode("k2")
    assert ours.value == pytest.approx(theirs.value, abs=1e-6)
    assert ours.words == theirs.words
    np.testing.assert_array_equal(ours.kept, theirs.kept)
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)


@pytest.mark.parametrize("decode", [KaldiGraph.decode_best, KaldiGraph.decode_lattice])
def test_best_path_is_kaldis(decode):
    """Score and words of the best path are those of Kaldi's decoders on the same graph."""
    for seed in range(5):
        graph, scores = larger_case(seed)
        theirs = decode(KaldiGraph(graph, 100.0, 5.0, 10**6), scores)
        ours = best_path(native.search(graph, scores, 100.0, 5.0, 10**6))
        assert theirs.score == pytest.approx(ours.score, abs=1e-3)
        assert theirs.words == ours.words


@pytest.mark.k2
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_a_lattice_returns_from_k2(k2_search, seed):
    """A lattice that became k2's automaton and came back has its arcs, its weights to float32 and
    its occupancies; k2 finds the same total score.
    """
    from workbench.notebook import from_k2, to_k2

    graph, scores = larger_case(seed)
    lattice = native.search(graph, scores, 60.0, 5.0, 10**6)
    fsa = to_k2(lattice)
    back = from_k2(fsa)

    assert isinstance(back, Lattice)
    assert (back.nodes, back.frames) == (lattice.nodes, lattice.frames)
    assert arcs_of(back) == arcs_of(lattice)
    assert sorted(back.arc) == sorted(lattice.arc)
    total, gamma = occupancies(lattice)
    their_total, their_gamma = occupancies(back)
    assert their_total == pytest.approx(total, abs=1e-3)
    np.testing.assert_allclose(their_gamma.dense(12), gamma.dense(12), atol=1e-3)

    import k2

    scored = k2.create_fsa_vec([fsa]).get_tot_scores(use_double_scores=True, log_semiring=True)
    assert float(scored[0]) == pytest.approx(total, abs=1e-3)


@pytest.mark.k2
def test_dead_ends_of_k2_are_dropped(k2_search):
    """An automaton whose states lead nowhere, or are never reached, is the lattice without them."""
    import k2
    import torch

    from workbench.notebook import from_k2, to_k2
    from workbench.settings import UserError

    lattice = native.search(*larger_case(1), 60.0, 5.0, 10**6)
    fsa = to_k2(lattice)
    arcs = fsa.arcs.values().clone()
    middle = int(lattice.arcs // 2)
    source = int(lattice.source[middle])
    old_final = int(arcs[:, 1].max())
    new_final = old_final + 2
    arcs[:, 1][arcs[:, 1] == old_final] = new_final
    dead = torch.tensor([[source, old_final, 1, 0]], dtype=torch.int32)
    astray = torch.tensor([[old_final + 1, old_final, 1, 0]], dtype=torch.int32)
    at = int((arcs[:, 0] <= source).sum())
    with_dead = k2.Fsa(torch.cat([arcs[:at], dead, arcs[at:], astray]))
    frame = int(lattice.frame[middle])
    for name, value in (("aux_labels", 0), ("phone", 0), ("frame", frame), ("origin", 0)):
        more = torch.tensor([value], dtype=torch.int32)
        old = getattr(fsa, name)
        setattr(with_dead, name, torch.cat([old[:at], more, old[at:], more]))

    back = from_k2(with_dead)
    assert (back.nodes, back.frames) == (lattice.nodes, lattice.frames)
    assert arcs_of(back) == arcs_of(lattice)

    with_dead.frame[at] += 1
    with pytest.raises(UserError, match="not in step with their frames"):
        from_k2(with_dead)


@pytest.mark.k2
def test_an_empty_automaton_of_k2_has_no_path(k2_search):
    """Such as what k2's ``connect`` leaves where no arc leads to the end."""
    import k2
    import torch

    from workbench.notebook import from_k2
    from workbench.settings import UserError

    fsa = k2.Fsa(torch.tensor([[0, 1, 1, 0], [2, 3, -1, 0]], dtype=torch.int32))
    for name in ("aux_labels", "phone", "frame", "origin"):
        setattr(fsa, name, torch.zeros(2, dtype=torch.int32))
    for automaton in (fsa, k2.connect(fsa)):
        with pytest.raises(UserError, match="cannot be taken: no complete path"):
            from_k2(automaton)


@pytest.mark.k2
def test_a_graph_returns_from_k2_by_the_public_call(k2_search):
    """A graph comes back as a graph; an automaton that lost its frames is no lattice any more."""
    from workbench.notebook import from_k2, to_k2
    from workbench.settings import UserError

    graph, scores = larger_case(1)
    back = from_k2(to_k2(graph))
    assert isinstance(back, Graph)
    assert (back.states, back.arcs) == (graph.states, graph.arcs)

    fsa = to_k2(native.search(graph, scores, 60.0, 5.0, 10**6))
    fsa.frame = fsa.frame + (fsa.frame == 3).int()
    with pytest.raises(UserError, match="not in step with their frames"):
        from_k2(fsa)
    del fsa.origin
    with pytest.raises(UserError, match="its arcs have no origin"):
        from_k2(fsa)


def test_without_k2_the_call_says_what_to_do(monkeypatch):
    """Where k2 does not load, the public call is refused in one line."""
    import sys

    from workbench.notebook import to_k2
    from workbench.settings import UserError

    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(UserError, match="k2 does not load"):
        to_k2(larger_case(1)[0])
