"""Auxiliary functions touch F_MMI at θ', and differ from it as they should elsewhere."""

import numpy as np
import pytest
from oracles import every_path, log_softmax, slopes, tiny_task

from workbench.sequence.auxiliary import softmax_gradient, value
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings

TASK, SAID, KAPPA = tiny_task(3), (3,), 0.7
LOGITS = np.random.default_rng(0).normal(0, 1.5, (6, TASK.states.count))
PRIOR = np.zeros(TASK.states.count)


def mmi(logits):
    paths = every_path(TASK.denominator, KAPPA * log_softmax(logits))
    return paths.saying(SAID).total() - paths.total()


def decoded(**changes):
    limits = {
        "beam": 100.0,
        "lattice_beam": 100.0,
        "rejection": 0.0,
        "cancellation": 0.0,
        "acoustic_scale": KAPPA,
    }
    settings = Settings.of(**{"criterion": "mmi", **limits, **changes})
    return decode_outer(
        log_softmax(LOGITS), TASK.reference(SAID), TASK.denominator, PRIOR, settings
    )


def gradient_at(logits, d, proximal=0.0):
    current = log_softmax(logits).astype(np.float32)
    return softmax_gradient(d.indptr, d.states, d.values, current, d.mass, proximal, d.posteriors)


@pytest.mark.parametrize("proximal", [0.0, 1.0, 20.0])
def test_tangential_contact(proximal):
    """∇F_aux(θ; θ') = ∇F_MMI(θ) at θ = θ', with and without the proximal term (method.md section 1)."""
    d = decoded(auxiliary="proximal")
    np.testing.assert_allclose(gradient_at(LOGITS, d, proximal), slopes(mmi, LOGITS), atol=3e-6)


@pytest.mark.parametrize("proximal", [0.0, 2.0])
def test_gradient_is_that_of_the_auxiliary_function(proximal):
    """Away from θ' the gradient at the softmax input is that of F_aux by finite differences."""
    d = decoded(auxiliary="proximal")
    elsewhere = LOGITS + np.random.default_rng(1).normal(0, 1, LOGITS.shape)

    def auxiliary(z):
        return value(d.indptr, d.states, d.values, log_softmax(z), proximal, d.posteriors)

    np.testing.assert_allclose(
        gradient_at(elsewhere, d, proximal), slopes(auxiliary, elsewhere), atol=2e-5
    )


def test_frozen_rows_never_see_the_current_parameters():
    """Without the proximal term the gradient is o itself wherever θ is; with it, it pulls back toward p_θ'."""
    d = decoded(auxiliary="proximal")
    elsewhere = LOGITS + 3 * np.random.default_rng(2).normal(0, 1, LOGITS.shape)
    np.testing.assert_array_equal(gradient_at(elsewhere, d), gradient_at(LOGITS, d))
    pull = gradient_at(elsewhere, d, 5.0) - gradient_at(elsewhere, d)
    np.testing.assert_allclose(
        pull, 5 * (np.exp(log_softmax(LOGITS)) - np.exp(log_softmax(elsewhere))), atol=1e-5
    )


def test_smoothing_adds_cross_entropy():
    """The smoothed gradient is F_MMI's plus h (onehot - p), its mass h (H-criterion)."""
    plain, smooth = decoded(), decoded(smoothing=0.2)
    onehot = np.eye(TASK.states.count)[smooth.numerator_states]
    expected = gradient_at(LOGITS, plain) + 0.2 * (onehot - np.exp(log_softmax(LOGITS)))
    assert smooth.mass == pytest.approx(0.2)
    np.testing.assert_allclose(gradient_at(LOGITS, smooth), expected, atol=1e-6)


def test_posteriors_travel_only_when_needed():
    """Only the proximal auxiliary function makes decoders send p_θ', one row per kept frame."""
    assert decoded().posteriors is None
    d = decoded(auxiliary="proximal", cancellation=0.05)
    assert d.posteriors.shape == (len(d.kept), TASK.states.count)
    np.testing.assert_allclose(d.posteriors, np.exp(log_softmax(LOGITS))[d.kept], rtol=1e-5)
