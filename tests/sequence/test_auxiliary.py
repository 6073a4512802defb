"""Auxiliary functions touch F_MMI at θ', and differ from it as they should elsewhere."""

import numpy as np
import pytest
from oracles import every_path, log_softmax, slopes, tiny_task

from workbench.sequence.auxiliary import softmax_gradient
from workbench.sequence.decoded import Decoded
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings

TASK = tiny_task(3)
SAID = (3,)
KAPPA = 0.7
LOGITS = np.random.default_rng(0).normal(0, 1.5, (6, TASK.states.count))
PRIOR = np.zeros(TASK.states.count)


def mmi(logits: np.ndarray) -> float:
    """F_MMI, from every path."""
    paths = every_path(TASK.denominator, KAPPA * log_softmax(logits))
    return paths.saying(SAID).total() - paths.total()


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


def test_posteriors_travel_only_when_needed():
    """Only the proximal auxiliary function makes decoders send p_θ', one row per kept frame."""
    assert decode().posteriors is None
    d = decode(auxiliary="proximal", cancellation=0.05)
    assert d.posteriors.shape == (len(d.kept), TASK.states.count)
    np.testing.assert_allclose(d.posteriors, np.exp(log_softmax(LOGITS))[d.kept], rtol=1e-5)
