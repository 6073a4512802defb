"""The subsets of the data on which replicas work (paper, section 3)."""

import numpy as np

from workbench.settings import UserError, rng


def subsets(utterances: int, replicas: int, seed: int) -> list[np.ndarray]:
    """Return disjoint random subsets of ``utterances``, int64, ascending, of nearly equal sizes.

    Raises UserError if there are fewer utterances than replicas.
    """
    if replicas > utterances:
        raise UserError(f"replicas={replicas}: only {utterances} utterances to share among them")
    shuffled = rng(seed, "subsets").permutation(utterances)
    return [np.sort(part) for part in np.array_split(shuffled, replicas)]
