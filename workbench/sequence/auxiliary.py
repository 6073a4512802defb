"""Auxiliary functions: what a replica climbs between two refreshes of the outer gradient
(docs/method.md, section 1).

frozen    F(θ; θ') = Σ o(θ') log p_θ, as in the paper. It is never corrected by the current θ, hence
          only locally valid.
proximal  the same minus D KL(p_θ' || p_θ), which is zero to first order at θ'. With targets
          o + D p_θ' >= 0 it is bounded above.

Both touch F_MMI at θ'. ``fresh`` has no auxiliary function: the replica recomputes o with
`decode_outer`.
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
