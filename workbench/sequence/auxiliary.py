"""Auxiliary functions: what a replica climbs between two refreshes of the outer gradient (method.md section 1).

frozen    F(θ; θ') = Σ o(θ') log p_θ: the paper. Never corrected by the current θ, hence only locally valid.
proximal  the same minus D KL(p_θ' || p_θ), zero to first order at θ'. With targets o + D p_θ' >= 0 it is bounded above.
Both touch F_MMI at θ'. ``fresh`` has no auxiliary function: o is recomputed by ``outer.decode_outer`` at the replica.
"""

import numpy as np


def softmax_gradient(
    indptr: np.ndarray,
    states: np.ndarray,
    values: np.ndarray,
    log_posteriors: np.ndarray,
    mass: np.ndarray | float = 0.0,
    proximal: float = 0.0,
    posteriors: np.ndarray | None = None,
) -> np.ndarray:
    """Gradient of the auxiliary function at the softmax input: float32 [frames, states].

    Rows o in CSR form with their ``mass`` (scalar or [frames]), current ``log_posteriors`` [frames, states];
    ``posteriors`` p_θ' of the decoder if ``proximal`` (D) is not 0. It is o - mass p_θ + D (p_θ' - p_θ).
    """
    frames = len(log_posteriors)
    weight = np.broadcast_to(np.asarray(mass, np.float32), frames)[:, None] + np.float32(proximal)
    gradient = (
        -weight * np.exp(log_posteriors)
        if weight.any()
        else np.zeros(log_posteriors.shape, np.float32)
    )
    if proximal:
        gradient += np.float32(proximal) * posteriors
    np.add.at(gradient, (np.repeat(np.arange(frames), np.diff(indptr)), states), values)
    return gradient


def value(
    indptr: np.ndarray,
    states: np.ndarray,
    values: np.ndarray,
    log_posteriors: np.ndarray,
    proximal: float = 0.0,
    posteriors: np.ndarray | None = None,
) -> float:
    """F(θ; θ') of the rows, not divided by T; up to the constant D H(p_θ') if proximal."""
    frame = np.repeat(np.arange(len(log_posteriors)), np.diff(indptr))
    total = float(np.asarray(values, np.float64) @ log_posteriors[frame, states])
    if proximal:
        total += proximal * float((posteriors.astype(np.float64) * log_posteriors).sum())
    return total
