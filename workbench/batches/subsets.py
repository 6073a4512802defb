"""Which utterances belong to which replica (paper, section 3: each replica works on its own subset
of the data).
"""

import numpy as np

from workbench.settings import UserError, rng


def subsets(utterances: int, replicas: int, seed: int) -> list[np.ndarray]:
    """Return disjoint random subsets of the utterances 0 to n - 1, int64 and ascending, of nearly
    equal sizes.

    Raises UserError if there are fewer utterances than replicas.
    """
    if replicas > utterances:
        raise UserError(f"replicas={replicas}: only {utterances} utterances to share among them")
    shuffled = rng(seed, "subsets").permutation(utterances)
    return [np.sort(part) for part in np.array_split(shuffled, replicas)]
