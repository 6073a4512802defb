"""Auxiliary functions: what a replica climbs between two refreshes of the outer gradient
(docs/method.md, section 2).

frozen      F(θ; θ') = Σ o(θ') log p_θ, as in the paper. It is never corrected by the current θ,
            hence only locally valid.
proximal    the same minus D KL(p_θ' || p_θ), which is zero to first order at θ'. With targets
            o + D p_θ' >= 0 it is bounded above.
reweighted  Σ_t log Σ_s γ_num (p_θ / p_θ')^κ - log Σ_s γ_den (p_θ / p_θ')^κ: the decoder's
            occupancies follow the current θ frame by frame. It is bounded above where numerator
            and denominator share a state.

All touch F_MMI at θ'. ``fresh`` has no auxiliary function: the replica recomputes o with
`decode_outer`.
"""

import numpy as np

from workbench.sequence.decoded import Occupied

FOLLOWING = ("proximal", "reweighted")
"""The functions whose gradient at the replica follows its own parameters."""


def softmax_gradient(
    indptr: np.ndarray,
    states: np.ndarray,
    values: np.ndarray,
    log_posteriors: np.ndarray,
    mass: np.ndarray | float = 0.0,
    proximal: float = 0.0,
    posteriors: np.ndarray | None = None,
) -> np.ndarray:
    """Return o - mass p_θ + D (p_θ' - p_θ), the gradient at the softmax input: float32 [frames,
    states].

    ``indptr``, ``states``, ``values``: the rows o in CSR form; ``mass``: their sums, one number or
    [frames]. ``log_posteriors`` [frames, states]: log p_θ. ``proximal``: D, which needs
    ``posteriors`` [frames, states], the decoder's p_θ', unless it is 0. Raises ValueError without
    them.
    """
    frames = len(log_posteriors)
    per_frame = np.broadcast_to(np.asarray(mass, np.float32), frames)
    weight = per_frame[:, None] + np.float32(proximal)
    if weight.any():
        gradient = -weight * np.exp(log_posteriors)
    else:
        gradient = np.zeros(log_posteriors.shape, np.float32)

    if proximal:
        if posteriors is None:
            raise ValueError("the proximal term needs the decoder's posteriors")
        gradient += np.float32(proximal) * posteriors

    frame = np.repeat(np.arange(frames), np.diff(indptr))
    np.add.at(gradient, (frame, states), values)
    return gradient


def reweighted_gradient(
    occupied: Occupied, log_posteriors: np.ndarray, acoustic_scale: float
) -> np.ndarray:
    """Return κ (γ~_num - γ~_den) of the entries of ``occupied``, float32 [entries].

    γ~_t(s) is γ_t(s) (p_θ(s|x_t) / p_θ'(s|x_t))^κ, divided by its sum over the states of the frame.
    So the rows sum to zero, and are the outer gradient itself at θ = θ'. ``log_posteriors``
    [frames, states]: log p_θ, or logits, since what is common to a frame cancels.
    ``acoustic_scale``: κ.
    """
    frame = occupied.frame
    now = log_posteriors[frame, occupied.states].astype(np.float64)
    moved = acoustic_scale * (now - occupied.log_posteriors)
    rows = len(occupied.indptr) - 1
    numerator = _reweight(occupied.numerator, moved, frame, rows)
    denominator = _reweight(occupied.denominator, moved, frame, rows)
    return (acoustic_scale * (numerator - denominator)).astype(np.float32)


def _reweight(
    occupancies: np.ndarray, moved: np.ndarray, frame: np.ndarray, rows: int
) -> np.ndarray:
    """Return the occupancies times exp(``moved``), of sum one in each row: float64 [entries]."""
    visited = occupancies > 0
    weight = np.where(visited, moved, -np.inf)
    # Relative to the largest of its row, no weight overflows however far the network has moved.
    largest = np.full(rows, -np.inf)
    np.maximum.at(largest, frame, weight)
    weighted = occupancies * np.exp(weight - largest[frame])
    return weighted / np.bincount(frame, weighted, rows)[frame]
