"""How probable each tied state is, whatever was heard: p(s) of the hybrid score log p(s|x) - log p(s)."""

import numpy as np


def log_priors(alignment: np.ndarray, count: int, floor: float = 1e-6) -> np.ndarray:
    """Relative frequencies of states in an alignment (negative: not aligned), float32 [count].

    None is below ``floor`` (before they are made to sum to one again), which keeps scores from being divided by nearly
    nothing where a state was hardly ever seen. ValueError if the alignment has other states, or none.
    """
    seen = np.bincount(alignment[alignment >= 0], minlength=count).astype(np.float64)
    if len(seen) != count or not seen.any():
        raise ValueError(f"an alignment to states outside 0..{count - 1}, or to none at all")
    p = np.maximum(seen / seen.sum(), floor)
    return np.log(p / p.sum()).astype(np.float32)
