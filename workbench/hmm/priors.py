"""Prior probabilities of tied states: p(s) of the hybrid score log p(s|x) - log p(s)."""

import numpy as np


def log_priors(alignment: np.ndarray, count: int, floor: float = 1e-6) -> np.ndarray:
    """Return log relative frequencies of tied states in an alignment: float32 [count].

    ``alignment`` [frames]: tied states, negative for frames that are not aligned. Frequencies are
    raised to at least ``floor`` and then made to sum to one, which bounds the scores of states
    that hardly ever occur. Raises ValueError if the alignment has states from ``count`` on, or no
    state at all.
    """
    frames = np.bincount(alignment[alignment >= 0], minlength=count).astype(np.float64)
    if len(frames) != count or not frames.any():
        raise ValueError(f"an alignment to states outside 0..{count - 1}, or to none at all")

    p = np.maximum(frames / frames.sum(), floor)
    return np.log(p / p.sum()).astype(np.float32)
