"""Sequence criteria against sums over every path, finite differences through softmax and network, and their laws."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from oracles import (
    dense_occupancies,
    every_path,
    log_softmax,
    log_sum,
    slopes,
    tiny_graph,
    tiny_scores,
    tiny_task,
)

from workbench.model.network import gradient, log_posteriors
from workbench.model.topology import Topology, initial
from workbench.sequence.criteria import difference, largest, overlap
from workbench.sequence.lattice import NoPath, restrict
from workbench.sequence.lattices import NO_LATTICE, NOT_FINITE, OUTSIDE, UNALIGNED
from workbench.sequence.occupancy import Occupancies, summed, total
from workbench.sequence.outer_gradient import acoustic_scores, decode_outer
from workbench.sequence.search import search
from workbench.settings import Settings

KAPPA, FRAMES, SAID = 0.6, 7, (2, 1)
EXACT = Settings.of(
    criterion="mmi",
    acoustic_scale=KAPPA,
    rejection=0.0,
    cancellation=0.0,
    beam=100.0,
    lattice_beam=100.0,
    max_active=10**6,
)
SEEDS = st.integers(0, 10**4)
few = hypothesis(max_examples=12, deadline=None)
task = cache(tiny_task)


def random_logits(seed, frames=FRAMES):
    return np.random.default_rng(seed).normal(0, 1.5, (frames, task().states.count))


def prior():
    return log_softmax(np.linspace(-1, 1, task().states.count))


def decode(logits, settings=EXACT, words=SAID, **more):
    return decode_outer(
        log_softmax(logits), task().reference(words), task().denominator, prior(), settings, **more
    )


def dense(decoded):
    """The outer gradient as float64 [frames, states], zero where no frame is kept."""
    out = np.zeros((decoded.frames, task().states.count))
    rows = np.repeat(decoded.kept, np.diff(decoded.indptr))
    out[rows, decoded.states] = decoded.values
    return out


def paths_of(logits):
    """Every path of the denominator, with scores in double precision."""
    scores = KAPPA * (log_softmax(logits) - prior())
    return every_path(task().denominator, scores)


def mmi(logits):
    paths = paths_of(logits)
    return paths.saying(SAID).total() - paths.total()


def gammas(logits):
    """γ of the paths that say the reference, and of all."""
    paths = paths_of(logits)
    return [dense_occupancies(p, task().states.count) for p in (paths.saying(SAID), paths)]


def expected(logits, right):
    """Expectation over all paths of the number of frames where right(states, phones)."""
    paths = paths_of(logits)
    return float(np.exp(paths.score - paths.total()) @ right(paths.states, paths.phones).sum(1))


@few
@given(SEEDS)
def test_mmi_equals_enumeration(seed):
    """F_MMI and κ(γ_num - γ_den) equal sums over every path, and the gradient equals finite differences through the
    softmax."""
    logits = random_logits(seed)
    decoded, gamma = decode(logits), gammas(logits)
    assert decoded.reason is None
    assert decoded.value == pytest.approx(mmi(logits), abs=2e-6)
    np.testing.assert_allclose(dense(decoded), KAPPA * (gamma[0] - gamma[1]), atol=1e-6)
    np.testing.assert_allclose(dense(decoded), slopes(mmi, logits), atol=2e-6)


@few
@given(SEEDS)
def test_smbr_equals_enumeration(seed):
    """sMBR is the expected number of right states (silence one class), its gradient that of finite differences."""
    logits = random_logits(seed)
    best = paths_of(logits).saying(SAID).best()
    states, phones = best.states, best.phones

    def right(s, p):
        return (s == states) | ((p == 0) & (phones == 0))

    decoded = decode(logits, EXACT.replace(criterion="smbr"))
    assert decoded.value == pytest.approx(expected(logits, right), abs=1e-5)
    np.testing.assert_allclose(
        dense(decoded), slopes(lambda z: expected(z, right), logits), atol=1e-5
    )


@few
@given(SEEDS)
def test_mpe_equals_enumeration(seed):
    """MPE is the expected number of frames in the right phone, its gradient that of finite differences."""
    logits = random_logits(seed)
    phones = paths_of(logits).saying(SAID).best().phones
    decoded = decode(logits, EXACT.replace(criterion="mpe"))
    assert decoded.value == pytest.approx(expected(logits, lambda s, p: p == phones), abs=1e-5)
    np.testing.assert_allclose(
        dense(decoded), slopes(lambda z: expected(z, lambda s, p: p == phones), logits), atol=1e-5
    )


@few
@given(SEEDS, st.floats(0.05, 1.0))
def test_boosted_mmi_equals_enumeration(seed, boost):
    """Boosted MMI adds b per wrong frame to the denominator's paths; without boost it is MMI; the boost lowers it."""
    logits = random_logits(seed)
    phones = paths_of(logits).saying(SAID).best().phones

    def boosted(z):
        paths = paths_of(z)
        wrong = ((paths.phones != phones) & (paths.phones != 0)).sum(1)
        return paths.saying(SAID).total() - log_sum(paths.score + boost * wrong)

    decoded = decode(logits, EXACT.replace(criterion="bmmi", boost=boost))
    assert decoded.value == pytest.approx(boosted(logits), abs=2e-6)
    assert (
        decoded.value
        <= decode(logits).value
        == decode(logits, EXACT.replace(criterion="bmmi")).value
    )
    np.testing.assert_allclose(dense(decoded), slopes(boosted, logits), atol=2e-6)


@pytest.mark.parametrize("criterion", ["mmi", "bmmi", "mpe", "smbr"])
def test_rows_sum_to_zero(criterion):
    """Σ_s o_t(s) = 0 on every kept frame, whatever the criterion, the pruning and the selection."""
    changes = {
        "criterion": criterion,
        "boost": 0.3,
        "lattice_beam": 3.0,
        "rejection": 1e-3,
        "cancellation": 1e-2,
    }
    for seed in range(5):
        decoded = decode(random_logits(seed, 12), EXACT.replace(**changes))
        np.testing.assert_allclose(dense(decoded).sum(1), 0, atol=1e-6)
        assert decoded.mass == 0


@few
@given(SEEDS, st.floats(0.5, 8.0), st.floats(0.5, 8.0), st.integers(2, 40))
def test_numerator_never_exceeds_the_lattice(seed, beam, lattice_beam, max_active):
    """However narrow the search, F_MMI <= 0 or the utterance is set aside with a NaN and a reason."""
    limits = EXACT.replace(beam=beam, lattice_beam=lattice_beam).replace(
        max_active=max(10, max_active)
    )
    decoded = decode(random_logits(seed, 12), limits)
    assert decoded.value <= 1e-9 if decoded.reason is None else np.isnan(decoded.value)


@few
@given(SEEDS, st.floats(0, 0.3), st.floats(0, 0.3))
def test_each_frame_is_rejected_or_cancelled_or_kept(seed, rejection, cancellation):
    """Rejection is a low overlap with the lattice, cancellation a small gradient; the rows that are left are
    unchanged."""
    logits = random_logits(seed, 12)
    whole = decode(logits)
    part = decode(logits, EXACT.replace(rejection=rejection, cancellation=cancellation))
    gamma = gammas(logits)
    rejected = np.minimum(*gamma).sum(1) < rejection
    kept = ~rejected & (np.abs(gamma[0] - gamma[1]).max(1) >= cancellation)
    np.testing.assert_array_equal(part.kept, np.flatnonzero(kept))
    assert part.rejected == rejected.sum()
    assert part.rejected + part.cancelled + len(part.kept) == 12
    np.testing.assert_allclose(dense(part)[kept], dense(whole)[kept], atol=1e-7)
    assert part.value == whole.value


def test_overlap_with_a_hard_reference_is_its_occupancy():
    """With γ_num = 1 in one state the overlap is γ_den of that state, the paper's rule; 0 where the lattice lacks
    it."""
    reference = Occupancies(np.arange(4), np.array([2, 0, 1]), np.ones(3))
    lattice = Occupancies(
        np.array([0, 2, 3, 5]), np.array([0, 2, 1, 1, 3]), np.array([0.9, 0.1, 1.0, 0.4, 0.6])
    )
    np.testing.assert_allclose(overlap(reference, lattice), [0.1, 0.0, 0.4])
    np.testing.assert_allclose(largest(difference(reference, lattice)), [0.9, 1.0, 0.6])
    np.testing.assert_allclose(difference(reference, lattice).dense(4).sum(1), 0, atol=1e-15)


def test_reference_outside_the_lattice_gives_no_value():
    """The value is NaN and the reason told, yet the reference is aligned and the frames where it overlaps still
    train."""
    logits = random_logits(1, 12)
    best = decode(logits).words
    other = next(w for w in [(1,), (2,), (3,), (1, 1)] if w != best)
    decoded = decode(logits, EXACT.replace(lattice_beam=0.5, rejection=0.001), words=other)
    assert decoded.reason == OUTSIDE
    assert np.isnan(decoded.value)
    assert decoded.reference == other
    assert (decoded.numerator_states >= 0).all()
    assert decoded.rejected > 0
    assert decoded.rejected + decoded.cancelled + len(decoded.kept) == 12
    assert np.isfinite(decoded.values).all()
    np.testing.assert_allclose(dense(decoded).sum(1), 0, atol=1e-6)


def test_unusable_utterances_tell_why():
    """Too short for the reference, no path in the beam, NaN posteriors: a reason each, no kept frame, no value."""
    short = decode(random_logits(0, 5))
    lost = decode(random_logits(0, 2), words=(1,))
    broken = random_logits(0)
    broken[3, 2] = np.nan
    for decoded, reason in ((short, UNALIGNED), (lost, UNALIGNED), (decode(broken), NOT_FINITE)):
        assert decoded.reason == reason
        assert len(decoded.kept) == 0
        assert np.isnan(decoded.value)
        assert (decoded.numerator_states == -1).all()
    sharp = np.full((FRAMES, task().states.count), -60.0)
    sharp[:, 0] = 0
    assert decode(sharp, EXACT.replace(beam=0.5, acoustic_scale=2.0)).reason.startswith(NO_LATTICE)


@pytest.mark.parametrize("control", ["none-realigned", "none-fixed"])
def test_controls_are_cross_entropy(control):
    """Without the denominator rows are κ times the targets, and the gradient at the softmax input κ (target - p)."""
    from workbench.sequence.auxiliary import softmax_gradient

    logits = random_logits(4)
    fixed = np.arange(FRAMES) % 3
    target = gammas(logits)[0]
    if control == "none-fixed":
        target = np.eye(task().states.count)[fixed]
    decoded = decode(logits, EXACT.replace(denominator=control), alignment=fixed)
    assert decoded.value == pytest.approx((target * log_softmax(logits)).sum(), abs=1e-5)
    np.testing.assert_allclose(dense(decoded), KAPPA * target, atol=1e-6)
    found = softmax_gradient(
        decoded.indptr,
        decoded.states,
        decoded.values,
        log_softmax(logits).astype(np.float32),
        decoded.mass,
    )
    np.testing.assert_allclose(
        found, slopes(lambda z: KAPPA * (target * log_softmax(z)).sum(), logits), atol=1e-5
    )
    few = decode(logits, EXACT.replace(denominator=control, cancellation=0.9), alignment=fixed)
    kept = np.abs(target - np.exp(log_softmax(logits))).max(1) >= 0.9
    np.testing.assert_array_equal(few.kept, np.flatnonzero(kept))


@few
@given(SEEDS)
def test_restriction_keeps_the_paths_with_the_words(seed):
    """The restricted lattice has the total of the paths with these words, whichever words the lattice has."""
    rng = np.random.default_rng(seed)
    graph, scores = tiny_graph(rng), tiny_scores(rng)
    lattice, paths = search(graph, scores, np.inf, 1e9, 10**6), every_path(graph, scores)
    for words in set(paths.words[::7]):
        assert total(restrict(lattice, words)) == pytest.approx(
            paths.saying(words).total(), abs=1e-6
        )
    with pytest.raises(NoPath):
        restrict(lattice, (1,) * 5)


def test_gradient_through_the_network():
    """The directional derivative of F_MMI in the parameters equals the outer gradient times the inner one."""
    topology = Topology(6, (8, 5), task().states.count)
    theta = np.asarray(initial(topology, 1), np.float64)
    x = np.random.default_rng(2).normal(size=(FRAMES, 6))
    direction = np.random.default_rng(3).normal(size=theta.shape)
    decoded = decode(log_posteriors(theta, topology, x))
    found = gradient(
        theta,
        topology,
        x[decoded.kept],
        (decoded.indptr, decoded.states, decoded.values.astype(float)),
    )
    step = 1e-4
    up, down = (mmi(log_posteriors(theta + s * step * direction, topology, x)) for s in (1, -1))
    assert found @ direction == pytest.approx((up - down) / (2 * step), rel=1e-4)


def test_scores_divide_by_the_prior():
    """Scores are κ (log p - prior_scale log prior) in float32."""
    log_p = log_softmax(random_logits(0)).astype(np.float32)
    scores = acoustic_scores(log_p, prior(), EXACT.replace(prior_scale=0.5))
    np.testing.assert_allclose(scores, KAPPA * (log_p - 0.5 * prior()), rtol=1e-5)
    assert scores.dtype == np.float32


def test_rows_are_added_up_by_frame_and_state():
    """Entries of equal frame and state add up, frames without entries are empty rows."""
    key = np.array([2 << 32 | 1, 0 << 32 | 3, 2 << 32 | 1, 2 << 32 | 0])
    rows = summed(key, np.array([1.0, 2.0, 3.0, 4.0]), 4)
    np.testing.assert_array_equal(rows.dense(4), [[0, 0, 0, 2], [0] * 4, [4, 4, 0, 0], [0] * 4])
    assert summed(np.zeros(0, np.int64), np.zeros(0), 3).indptr.tolist() == [0] * 4
