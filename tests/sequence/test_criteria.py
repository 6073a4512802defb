"""Sequence criteria against sums over every path, finite differences through softmax and network,
and their laws.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import (
    dense_occupancies,
    every_path,
    log_softmax,
    log_sum,
    log_total,
    slopes,
    tiny_graph,
    tiny_scores,
)
from utterances import (
    EXACT,
    FRAMES,
    KAPPA,
    SAID,
    SEEDS,
    decode,
    dense,
    few,
    paths_of,
    prior,
    random_logits,
    task,
)

from workbench.hmm.graphs.graph import NoPath
from workbench.hmm.states import SIL
from workbench.model.network import SparseRows, gradient, log_posteriors
from workbench.model.topology import Topology, initial
from workbench.sequence.auxiliary import softmax_gradient
from workbench.sequence.criteria import difference, largest_magnitude, overlap
from workbench.sequence.lattice import restrict
from workbench.sequence.lattice_pair import (
    NO_LATTICE,
    NOT_FINITE,
    OUTSIDE,
    UNALIGNED,
    acoustic_scores,
)
from workbench.sequence.occupancy import Occupancies, sum_by_key
from workbench.sequence.search import search


def mmi(logits: np.ndarray) -> float:
    """F_MMI, from every path."""
    paths = paths_of(logits)
    return paths.saying(SAID).total() - paths.total()


def gammas(logits: np.ndarray) -> list[np.ndarray]:
    """γ_num and γ_den: of the paths that carry the reference, and of all."""
    paths = paths_of(logits)
    return [dense_occupancies(p, task().states.count) for p in (paths.saying(SAID), paths)]


def expected_right(
    logits: np.ndarray, right: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> float:
    """The expectation over all paths of the number of frames where right(states, phones)."""
    paths = paths_of(logits)
    return float(np.exp(paths.score - paths.total()) @ right(paths.states, paths.phones).sum(1))


@few
@given(SEEDS)
def test_mmi_equals_enumeration(seed):
    """F_MMI and κ(γ_num - γ_den) equal sums over every path, the gradient equals finite
    differences.
    """
    logits = random_logits(seed)
    decoded = decode(logits)
    num, den = gammas(logits)
    assert decoded.reason is None
    assert decoded.value == pytest.approx(mmi(logits), abs=2e-6)
    np.testing.assert_allclose(dense(decoded), KAPPA * (num - den), atol=1e-6)
    np.testing.assert_allclose(dense(decoded), slopes(mmi, logits), atol=2e-6)


@few
@given(SEEDS)
def test_smbr_equals_enumeration(seed):
    """sMBR is the expected number of right states (silence one class), its gradient that of finite
    differences.
    """
    logits = random_logits(seed)
    best = paths_of(logits).saying(SAID).best()

    def right(s, p):
        return (s == best.states) | ((p == 0) & (best.phones == 0))

    decoded = decode(logits, EXACT.replace(criterion="smbr"))
    assert decoded.value == pytest.approx(expected_right(logits, right), abs=1e-5)
    np.testing.assert_allclose(
        dense(decoded), slopes(lambda z: expected_right(z, right), logits), atol=1e-5
    )


@few
@given(SEEDS)
def test_mpe_equals_enumeration(seed):
    """MPE is the expected number of frames in the right phone, its gradient that of finite
    differences.
    """
    logits = random_logits(seed)
    phones = paths_of(logits).saying(SAID).best().phones

    def right(s, p):
        return p == phones

    decoded = decode(logits, EXACT.replace(criterion="mpe"))
    assert decoded.value == pytest.approx(expected_right(logits, right), abs=1e-5)
    np.testing.assert_allclose(
        dense(decoded), slopes(lambda z: expected_right(z, right), logits), atol=1e-5
    )


@few
@given(SEEDS, st.sampled_from(["mpe", "smbr"]), st.booleans())
def test_silence_as_one_class_equals_enumeration(seed, criterion, one_class):
    """Silence and noise are right wherever the reference is either, or else never.

    Phone A stands for noise. Sums over every path and finite differences say so, for both criteria.
    """
    silent = (SIL, 1)
    logits = random_logits(seed)
    best = paths_of(logits).saying(SAID).best()

    def right(s, p):
        same = s == best.states if criterion == "smbr" else p == best.phones
        quiet = np.isin(p, silent)
        return same | (quiet & np.isin(best.phones, silent)) if one_class else same & ~quiet

    settings = EXACT.replace(criterion=criterion, one_silence_class=one_class)
    decoded = decode(logits, settings, silence=silent)
    assert decoded.value == pytest.approx(expected_right(logits, right), abs=1e-5)
    expected = slopes(lambda z: expected_right(z, right), logits)
    np.testing.assert_allclose(dense(decoded), expected, atol=1e-5)


@pytest.mark.parametrize("criterion", ["mpe", "smbr"])
def test_noise_and_the_class_of_silence_change_the_accuracy(criterion):
    """A class that is wider counts more frames as right, and one that never counts fewer."""
    logits = random_logits(3, 12)
    settings = EXACT.replace(criterion=criterion)
    plain = decode(logits, settings)
    with_noise = decode(logits, settings, silence=(SIL, 1))
    never = decode(logits, settings.replace(one_silence_class=False))
    assert never.value < plain.value < with_noise.value
    np.testing.assert_array_equal(plain.numerator_states, with_noise.numerator_states)


def test_mmi_does_not_know_the_option():
    """The option changes nothing for MMI and boosted MMI, and noise phones nothing for MMI."""
    logits = random_logits(5)
    for settings, silence in (
        (EXACT, (SIL, 1)),
        (EXACT.replace(criterion="bmmi", boost=0.4), (SIL,)),
    ):
        plain = decode(logits, settings)
        other = decode(logits, settings.replace(one_silence_class=False), silence=silence)
        assert plain.value == other.value
        np.testing.assert_array_equal(plain.values, other.values)


@few
@given(SEEDS, st.floats(0.05, 1.0), st.sampled_from([(SIL,), (SIL, 1)]))
def test_boosted_mmi_equals_enumeration(seed, boost, silent):
    """Boosted MMI adds b per wrong frame to the denominator's paths; without boost it is MMI; the
    boost lowers it.
    """
    logits = random_logits(seed)
    phones = paths_of(logits).saying(SAID).best().phones

    def boosted(z):
        paths = paths_of(z)
        wrong = ((paths.phones != phones) & ~np.isin(paths.phones, silent)).sum(1)
        return paths.saying(SAID).total() - log_sum(paths.score + boost * wrong)

    decoded = decode(logits, EXACT.replace(criterion="bmmi", boost=boost), silence=silent)
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
    settings = EXACT.replace(
        criterion=criterion, boost=0.3, lattice_beam=3.0, rejection=1e-3, cancellation=1e-2
    )
    for seed in range(5):
        decoded = decode(random_logits(seed, 12), settings)
        np.testing.assert_allclose(dense(decoded).sum(1), 0, atol=1e-6)
        assert decoded.mass == 0


@few
@given(SEEDS, st.floats(0.5, 8.0), st.floats(0.5, 8.0), st.integers(2, 40))
def test_numerator_never_exceeds_the_lattice(seed, beam, lattice_beam, max_active):
    """However narrow the search, F_MMI <= 0, or the utterance is set aside with a reason."""
    settings = EXACT.replace(beam=beam, lattice_beam=lattice_beam, max_active=max(10, max_active))
    decoded = decode(random_logits(seed, 12), settings)
    assert decoded.value <= 1e-9 if decoded.reason is None else np.isnan(decoded.value)


@few
@given(SEEDS, st.floats(0, 0.3), st.floats(0, 0.3))
def test_each_frame_is_rejected_or_cancelled_or_kept(seed, rejection, cancellation):
    """Rejection is a low overlap with the lattice, cancellation a small gradient; kept rows are
    unchanged.
    """
    logits = random_logits(seed, 12)
    whole = decode(logits)
    part = decode(logits, EXACT.replace(rejection=rejection, cancellation=cancellation))
    num, den = gammas(logits)
    rejected = np.minimum(num, den).sum(1) < rejection
    kept = ~rejected & (np.abs(num - den).max(1) >= cancellation)
    np.testing.assert_array_equal(part.kept, np.flatnonzero(kept))
    assert part.rejected == rejected.sum()
    assert part.rejected + part.cancelled + len(part.kept) == 12
    np.testing.assert_allclose(dense(part)[kept], dense(whole)[kept], atol=1e-7)
    assert part.value == whole.value


def test_overlap_with_a_hard_reference_is_its_occupancy():
    """With γ_num = 1 in one state the overlap is γ_den of that state, the paper's rule; 0 if the
    lattice lacks it.
    """
    reference = Occupancies(np.arange(4), np.array([2, 0, 1]), np.ones(3))
    lattice = Occupancies(
        indptr=np.array([0, 2, 3, 5]),
        states=np.array([0, 2, 1, 1, 3]),
        values=np.array([0.9, 0.1, 1.0, 0.4, 0.6]),
    )
    np.testing.assert_allclose(overlap(reference, lattice), [0.1, 0.0, 0.4])
    np.testing.assert_allclose(largest_magnitude(difference(reference, lattice)), [0.9, 1.0, 0.6])
    np.testing.assert_allclose(difference(reference, lattice).dense(4).sum(1), 0, atol=1e-15)


def test_reference_outside_the_lattice_gives_no_value():
    """The value is NaN with a reason, yet the reference is aligned and the frames still train, also
    those in which the lattice and the reference have no state in common.
    """
    logits = random_logits(1, 12)
    best = decode(logits).words
    other = next(w for w in [(1,), (2,), (3,), (1, 1)] if w != best)
    decoded = decode(logits, EXACT.replace(lattice_beam=0.5, rejection=0.001), words=other)
    assert decoded.reason == OUTSIDE
    assert np.isnan(decoded.value)
    assert decoded.reference == other
    assert (decoded.numerator_states >= 0).all()
    apart = {
        frame
        for frame, row in zip(decoded.kept, dense(decoded)[decoded.kept], strict=True)
        if np.abs(row).max() > 0.5 * KAPPA
    }
    assert apart
    assert decoded.rejected == 0
    assert decoded.cancelled + len(decoded.kept) == 12
    assert np.isfinite(decoded.values).all()
    np.testing.assert_allclose(dense(decoded).sum(1), 0, atol=1e-6)


@pytest.mark.parametrize("criterion", ["mpe", "smbr", "bmmi"])
def test_held_out_utterances_count_although_the_lattice_lost_the_reference(criterion):
    """MPE and sMBR are the expectation over the lattice's own paths. bMMI records its boosted
    denominator, to which the reference can be added.
    """
    logits = random_logits(2, 12)
    best = decode(logits).words
    other = next(w for w in [(1,), (2,), (3,), (1, 1)] if w != best)
    narrow = EXACT.replace(criterion=criterion, lattice_beam=2.0, boost=0.7)
    decoded = decode(logits, narrow, words=other)
    assert decoded.reason == OUTSIDE
    if criterion != "bmmi":
        assert 0 <= decoded.value <= 12
        return

    plain = decode(logits, narrow.replace(criterion="mmi"), words=other)
    assert np.isnan(decoded.value)
    assert plain.den < decoded.den <= plain.den + 0.7 * 12
    assert decoded.num == plain.num


def test_unusable_utterances_have_a_reason():
    """Too short for the reference, no path in the beam, NaN posteriors: a reason each, no kept
    frame, no value.
    """
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
    """Without the denominator rows are κ times the targets, and the gradient at the softmax input κ
    (target - p).
    """
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
    """The restricted lattice has the total of the paths with these words, whichever words the
    lattice has.
    """
    rng = np.random.default_rng(seed)
    graph = tiny_graph(rng)
    scores = tiny_scores(rng)
    lattice = search(graph, scores, np.inf, 1e9, 10**6)
    paths = every_path(graph, scores)
    for words in set(paths.words[::7]):
        expected = paths.saying(words).total()
        assert log_total(restrict(lattice, words)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(NoPath):
        restrict(lattice, (1,) * 5)


def test_gradient_through_the_network():
    """The directional derivative of F_MMI in the parameters equals the outer gradient times the
    inner one.
    """
    topology = Topology(6, (8, 5), task().states.count)
    theta = np.asarray(initial(topology, 1), np.float64)
    x = np.random.default_rng(2).normal(size=(FRAMES, 6))
    direction = np.random.default_rng(3).normal(size=theta.shape)
    decoded = decode(log_posteriors(theta, topology, x))
    rows = SparseRows(decoded.indptr, decoded.states, decoded.values.astype(float))
    slope = gradient(theta, topology, x[decoded.kept], rows) @ direction

    def value(step: float) -> float:
        return mmi(log_posteriors(theta + step * direction, topology, x))

    assert slope == pytest.approx((value(1e-4) - value(-1e-4)) / 2e-4, rel=1e-4)


def test_scores_divide_by_the_prior():
    """Scores are κ (log p - prior_scale log prior) in float32."""
    log_p = log_softmax(random_logits(0)).astype(np.float32)
    scores = acoustic_scores(log_p, prior(), EXACT.replace(prior_scale=0.5).criterion)
    np.testing.assert_allclose(scores, KAPPA * (log_p - 0.5 * prior()), rtol=1e-5)
    assert scores.dtype == np.float32


def test_rows_are_added_up_by_frame_and_state():
    """Entries of equal frame and state add up, frames without entries are empty rows."""
    key = np.array([2 << 32 | 1, 0 << 32 | 3, 2 << 32 | 1, 2 << 32 | 0])
    rows = sum_by_key(key, np.array([1.0, 2.0, 3.0, 4.0]), 4)
    np.testing.assert_array_equal(rows.dense(4), [[0, 0, 0, 2], [0] * 4, [4, 4, 0, 0], [0] * 4])
    assert sum_by_key(np.zeros(0, np.int64), np.zeros(0), 3).indptr.tolist() == [0] * 4
