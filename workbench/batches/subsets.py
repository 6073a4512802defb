"""Which utterances belong to which replica (paper section 3: every replica works on its own subset of the data)."""

import numpy as np

from workbench.settings import UserError, rng


def subsets(utterances: int, replicas: int, seed: int) -> list[np.ndarray]:
    """Disjoint random subsets, int64 and ascending, that cover utterances 0..n-1; sizes differ by at most one.

    Raises UserError where there are fewer utterances than replicas.
    """
    if replicas > utterances:
        raise UserError(f"replicas={replicas}: only {utterances} utterances to share among them")
    shuffled = rng(seed, "subsets").permutation(utterances)
    return [np.sort(part) for part in np.array_split(shuffled, replicas)]
