"""k2 and the native search against each other, and both against Kaldi's decoders; skipped where these are not
installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import log_softmax, tiny_graph, tiny_scores, tiny_task
from small_graphs import openfst_graph

from workbench.sequence import search as native
from workbench.sequence.lattice import NoPath
from workbench.sequence.occupancy import best_path, occupancies
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings


@pytest.fixture(scope="module")
def k2_search():
    pytest.importorskip("k2")
    from workbench.sequence import k2_lattice

    return k2_lattice.search


def larger_case(seed, frames=30):
    rng = np.random.default_rng(seed)
    return tiny_graph(rng, states=40, arcs=200, tied=12), tiny_scores(rng, frames, 12)


@pytest.mark.k2
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 6.0))
def test_k2_and_native_agree(k2_search, seed, width):
    """With a search beam that does not bind, both give the same arcs, totals to 1e-4 and occupancies."""
    graph, scores = larger_case(seed)
    ours = native.search(graph, scores, 60.0, width, 10**6)
    theirs = k2_search(graph, scores, 60.0, width, 10**6)
    assert (ours.nodes, ours.arcs) == (theirs.nodes, theirs.arcs)
    assert ours.best == pytest.approx(theirs.best, abs=1e-6)
    assert sorted(zip(ours.frame, ours.state, ours.word, ours.phone)) == sorted(  # noqa: B905
        zip(theirs.frame, theirs.state, theirs.word, theirs.phone)  # noqa: B905
    )
    totals, gammas = zip(*(occupancies(x) for x in (ours, theirs)), strict=True)
    assert totals[0] == pytest.approx(totals[1], abs=1e-4)
    np.testing.assert_allclose(gammas[0].dense(12), gammas[1].dense(12), atol=1e-4)


@pytest.mark.k2
def test_k2_prunes_to_a_floor(k2_search):
    """A floor far below the best path makes k2 search wider, so that the same arcs remain as natively."""
    for seed in range(5):
        graph, scores = larger_case(seed)
        floor = native.search(graph, scores, 60.0, 1.0, 10**6).best - 7.0
        ours = native.search(graph, scores, 60.0, 1.0, 10**6, floor)
        assert k2_search(graph, scores, 60.0, 1.0, 10**6, floor).arcs == ours.arcs
        with pytest.raises(NoPath, match="floor"):
            k2_search(graph, scores, 60.0, 1.0, 10**6, floor + 8.0)


@pytest.mark.k2
def test_k2_tells_that_there_is_no_path(k2_search):
    """An utterance that is too short raises NoPath from k2 as natively; NaN is refused."""
    task = tiny_task()
    scores = np.zeros((2, task.states.count), np.float32)
    for engine in (native.search, k2_search):
        with pytest.raises(NoPath):
            engine(task.denominator, scores, 10.0, 6.0, 1000)
        with pytest.raises(ValueError, match="NaN"):
            engine(task.denominator, scores * np.nan, 10.0, 6.0, 1000)


@pytest.mark.k2
def test_criterion_is_the_same_with_either_engine(k2_search):
    """The whole outer gradient is the same with lattice_engine=k2 and native."""
    task = tiny_task(2)
    log_p = log_softmax(np.random.default_rng(0).normal(0, 2, (25, task.states.count)))
    limits = {"acoustic_scale": 0.5, "beam": 40.0, "lattice_beam": 8.0, "cancellation": 1e-3}
    ours, theirs = (
        decode_outer(
            log_p,
            task.reference((1, 3)),
            task.denominator,
            np.zeros(task.states.count),
            Settings.of(criterion="mmi", lattice_engine=engine, **limits),
        )
        for engine in ("native", "k2")
    )
    assert ours.value == pytest.approx(theirs.value, abs=1e-6)
    assert ours.words == theirs.words
    np.testing.assert_array_equal(ours.kept, theirs.kept)
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)


@pytest.mark.parametrize("decoder", ["SimpleDecoder", "FasterDecoder", "LatticeSimpleDecoder"])
def test_best_path_is_kaldis(decoder):
    """Score and words of the best path are those of Kaldi's decoders on the same graph and scores."""
    kaldi = pytest.importorskip("kaldi_decoder")
    fst = pytest.importorskip("kaldifst")
    for seed in range(5):
        graph, scores = larger_case(seed)
        kept = openfst_graph(graph), kaldi.DecodableCtc(scores)  # the decoders keep pointers only
        options = {
            "SimpleDecoder": 100.0,
            "FasterDecoder": kaldi.FasterDecoderOptions(beam=100.0, max_active=10**6),
            "LatticeSimpleDecoder": kaldi.LatticeSimpleDecoderConfig(beam=100.0, lattice_beam=5.0),
        }[decoder]
        made = getattr(kaldi, decoder)(kept[0], options)
        made.decode(kept[1])
        _, path = made.get_best_path()
        _, _, words, weight = fst.get_linear_symbol_sequence(path)
        found, _, score = best_path(native.search(graph, scores, 100.0, 5.0, 10**6))
        assert -(weight.value1 + weight.value2) == pytest.approx(score, abs=1e-3)
        assert tuple(words) == found
