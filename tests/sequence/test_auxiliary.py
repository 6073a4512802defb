"""Auxiliary functions touch F_MMI at θ', and differ from it as they should elsewhere."""

import numpy as np
import pytest
from oracles import dense_occupancies, every_path, log_softmax, slopes, tiny_task

from workbench.sequence.auxiliary import reweighted_gradient, softmax_gradient
from workbench.sequence.decoded import Decoded, Occupied
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings, UserError

TASK = tiny_task(3)
SAID = (3,)
KAPPA = 0.7
LOGITS = np.random.default_rng(0).normal(0, 1.5, (6, TASK.states.count))
PRIOR = np.zeros(TASK.states.count)


def mmi(logits: np.ndarray) -> float:
    """F_MMI, from every path."""
    paths = every_path(TASK.denominator, KAPPA * log_softmax(logits))
    return paths.saying(SAID).total() - paths.total()


def gammas() -> list[np.ndarray]:
    """γ_num and γ_den at LOGITS, from every path."""
    paths = every_path(TASK.denominator, KAPPA * log_softmax(LOGITS))
    return [dense_occupancies(p, TASK.states.count) for p in (paths.saying(SAID), paths)]


def auxiliary_value(decoded: Decoded, log_posteriors: np.ndarray, proximal: float = 0.0) -> float:
    """F(θ; θ') of all rows, not divided by T; up to the constant D H(p_θ') if proximal."""
    frame = np.repeat(np.arange(len(log_posteriors)), np.diff(decoded.indptr))
    values = np.asarray(decoded.values, np.float64)
    total = float(values @ log_posteriors[frame, decoded.states])
    if proximal:
        before = decoded.posteriors.astype(np.float64)
        total += proximal * float((before * log_posteriors).sum())
    return total


def decode(**changes) -> Decoded:
    """The outer gradient at LOGITS, nothing pruned and no frame dropped unless ``changes`` ask for
    it.
    """
    settings = Settings.of(
        criterion="mmi",
        beam=100.0,
        lattice_beam=100.0,
        rejection=0.0,
        cancellation=0.0,
        acoustic_scale=KAPPA,
    ).replace(**changes)
    reference = TASK.reference(SAID)
    return decode_outer(log_softmax(LOGITS), reference, TASK.denominator, PRIOR, settings)


def gradient_at(logits: np.ndarray, d: Decoded, proximal: float = 0.0) -> np.ndarray:
    current = log_softmax(logits).astype(np.float32)
    return softmax_gradient(d.indptr, d.states, d.values, current, d.mass, proximal, d.posteriors)


@pytest.mark.parametrize("proximal", [0.0, 1.0, 20.0])
def test_tangential_contact(proximal):
    """∇F_aux(θ; θ') = ∇F_MMI(θ) at θ = θ', with and without the proximal term (docs/method.md,
    section 1).
    """
    d = decode(auxiliary="proximal")
    np.testing.assert_allclose(gradient_at(LOGITS, d, proximal), slopes(mmi, LOGITS), atol=3e-6)


@pytest.mark.parametrize("proximal", [0.0, 2.0])
def test_gradient_is_that_of_the_auxiliary_function(proximal):
    """Away from θ' the gradient at the softmax input is that of F_aux by finite differences."""
    d = decode(auxiliary="proximal")
    elsewhere = LOGITS + np.random.default_rng(1).normal(0, 1, LOGITS.shape)

    def auxiliary(logits: np.ndarray) -> float:
        return auxiliary_value(d, log_softmax(logits), proximal)

    np.testing.assert_allclose(
        gradient_at(elsewhere, d, proximal), slopes(auxiliary, elsewhere), atol=2e-5
    )


def test_frozen_rows_do_not_depend_on_the_current_parameters():
    """Without the proximal term the gradient is o itself wherever θ is; with it, it pulls back
    toward p_θ'.
    """
    d = decode(auxiliary="proximal")
    elsewhere = LOGITS + 3 * np.random.default_rng(2).normal(0, 1, LOGITS.shape)
    np.testing.assert_array_equal(gradient_at(elsewhere, d), gradient_at(LOGITS, d))
    pull = gradient_at(elsewhere, d, 5.0) - gradient_at(elsewhere, d)
    change = np.exp(log_softmax(LOGITS)) - np.exp(log_softmax(elsewhere))
    np.testing.assert_allclose(pull, 5 * change, atol=1e-5)


def test_the_proximal_term_needs_posteriors():
    """Asking for the proximal term without the decoder's posteriors is an error, not a gradient
    without it.
    """
    with pytest.raises(ValueError, match="posteriors"):
        gradient_at(LOGITS, decode(), proximal=1.0)


def test_smoothing_adds_cross_entropy():
    """The smoothed gradient is F_MMI's plus h (onehot - p), its mass h (H-criterion)."""
    plain = decode()
    smooth = decode(smoothing=0.2)
    onehot = np.eye(TASK.states.count)[smooth.numerator_states]
    expected = gradient_at(LOGITS, plain) + 0.2 * (onehot - np.exp(log_softmax(LOGITS)))
    assert smooth.mass == pytest.approx(0.2)
    np.testing.assert_allclose(gradient_at(LOGITS, smooth), expected, atol=1e-6)


def test_smoothing_reaches_every_frame():
    """No frame is dropped. One that MMI would reject has the cross entropy alone, and a cancelled
    one keeps its difference.
    """
    num, den = gammas()
    shared = np.minimum(num, den).sum(1)
    rejection = float(np.median(shared))
    magnitude = np.abs(num - den).max(1)[shared >= rejection]
    limits = {"rejection": rejection, "cancellation": float(np.median(magnitude))}
    whole = decode()
    plain = decode(**limits)
    assert plain.rejected
    assert plain.cancelled
    smooth = decode(smoothing=0.2, **limits)
    assert smooth.kept.tolist() == list(range(len(LOGITS)))
    assert smooth.rejected == smooth.cancelled == 0

    outer = gradient_at(LOGITS, whole)
    outer[shared < rejection] = 0
    onehot = np.eye(TASK.states.count)[smooth.numerator_states]
    expected = outer + 0.2 * (onehot - np.exp(log_softmax(LOGITS)))
    np.testing.assert_allclose(gradient_at(LOGITS, smooth), expected, atol=1e-6)


def test_posteriors_travel_only_when_needed():
    """Only the proximal auxiliary function makes decoders send p_θ', one row per kept frame."""
    assert decode().posteriors is None
    d = decode(auxiliary="proximal", cancellation=0.05)
    assert d.posteriors.shape == (len(d.kept), TASK.states.count)
    np.testing.assert_allclose(d.posteriors, np.exp(log_softmax(LOGITS))[d.kept], rtol=1e-5)


def dense(occupied: Occupied, values: np.ndarray) -> np.ndarray:
    """The entries of ``occupied`` as float64 [frames, states]."""
    out = np.zeros((len(occupied.indptr) - 1, TASK.states.count))
    np.add.at(out, (occupied.frame, occupied.states), values)
    return out


def reweighted_value(occupied: Occupied, log_posteriors: np.ndarray) -> float:
    """Σ_t log Σ_s γ_num (p_θ / p_θ')^κ - log Σ_s γ_den (p_θ / p_θ')^κ, sum by sum."""
    total = 0.0
    for t in range(len(occupied.indptr) - 1):
        row = occupied.row(t)
        ratio = np.exp(KAPPA * (log_posteriors[t, row.states] - row.log_posteriors))
        total += np.log((row.numerator * ratio).sum()) - np.log((row.denominator * ratio).sum())
    return total


@pytest.mark.parametrize("changes", [{}, {"lattice_engine": "exact"}])
def test_reweighted_touches_the_criterion(changes):
    """At θ = θ' the reweighted gradient is that of F_MMI, and the frozen outer gradient."""
    d = decode(auxiliary="reweighted", **changes)
    values = reweighted_gradient(d.occupied, log_softmax(LOGITS), KAPPA)
    np.testing.assert_allclose(dense(d.occupied, values), slopes(mmi, LOGITS), atol=3e-6)
    np.testing.assert_allclose(values, d.values, atol=1e-6)
    np.testing.assert_array_equal(d.occupied.states, d.states)


def test_reweighted_gradient_is_that_of_its_function():
    """Away from θ' the gradient at the softmax input is that of the reweighted function by finite
    differences, and not the frozen one.
    """
    d = decode(auxiliary="reweighted")
    elsewhere = LOGITS + np.random.default_rng(1).normal(0, 2, LOGITS.shape)
    values = reweighted_gradient(d.occupied, log_softmax(elsewhere), KAPPA)

    def auxiliary(logits: np.ndarray) -> float:
        return reweighted_value(d.occupied, log_softmax(logits))

    expected = slopes(auxiliary, elsewhere)
    np.testing.assert_allclose(dense(d.occupied, values), expected, atol=1e-6)
    assert np.abs(expected - gradient_at(elsewhere, d)).max() > 0.05


def test_reweighted_boosted_mmi_touches_its_criterion():
    """With boosted MMI the denominator's occupancies are the boosted ones."""
    d = decode(auxiliary="reweighted", criterion="bmmi", boost=0.5)
    values = reweighted_gradient(d.occupied, log_softmax(LOGITS), KAPPA)
    np.testing.assert_allclose(values, d.values, atol=1e-6)
    assert np.abs(d.values - decode().values).max() > 1e-3


@pytest.mark.parametrize("size", [1e2, 1e5, 1e30])
def test_reweighted_rows_stay_bounded(size):
    """However far the network moves, rows sum to zero, and no entry is beyond κ."""
    d = decode(auxiliary="reweighted")
    moved = (size * np.random.default_rng(3).normal(0, 1, LOGITS.shape)).astype(np.float32)
    values = dense(d.occupied, reweighted_gradient(d.occupied, moved, KAPPA))
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= KAPPA + 1e-6
    np.testing.assert_allclose(values.sum(1), 0, atol=1e-6)


def test_a_row_without_occupancies_has_no_gradient():
    """Rows without entries, between others, change nothing of these."""
    d = decode(auxiliary="reweighted").occupied
    empty = Occupied(
        np.zeros(2, np.int64),
        d.states[:0],
        d.numerator[:0],
        d.denominator[:0],
        d.log_posteriors[:0],
    )
    joined = Occupied.join([d.row(0), empty, d.row(1)])
    logits = np.stack([LOGITS[0] + 1, LOGITS[2], LOGITS[1]])
    apart = Occupied.join([d.row(0), d.row(1)])
    np.testing.assert_array_equal(
        reweighted_gradient(joined, logits, KAPPA),
        reweighted_gradient(apart, logits[[0, 2]], KAPPA),
    )


def test_occupancies_travel_only_when_needed():
    """Only the reweighted function makes decoders send occupancies, of the kept frames only."""
    plain = decode()
    assert plain.occupied is None
    magnitude = np.maximum.reduceat(np.abs(plain.values), plain.indptr[:-1]) / KAPPA
    d = decode(auxiliary="reweighted", cancellation=float(np.median(magnitude)))
    everything = decode(auxiliary="reweighted").occupied
    assert 0 < len(d.kept) < len(LOGITS)
    for row, frame in enumerate(d.kept):
        np.testing.assert_array_equal(d.occupied.row(row).states, everything.row(frame).states)
        np.testing.assert_array_equal(
            d.occupied.row(row).numerator, everything.row(frame).numerator
        )


@pytest.mark.parametrize("changes", [{"criterion": "mpe"}, {"denominator": "none-realigned"}])
def test_reweighted_needs_two_lattices(changes):
    """It is refused where numerator and denominator have no occupancies of their own."""
    with pytest.raises(UserError, match="auxiliary=reweighted needs"):
        Settings.of(**{"criterion": "mmi", "auxiliary": "reweighted"} | changes)
