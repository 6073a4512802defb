"""What the frames of a batch had at their decoder: posteriors, and occupancies."""

import numpy as np

from workbench.batches import OuterBatch
from workbench.sequence.decoded import Occupied


def decoder_posteriors(batch: OuterBatch) -> np.ndarray:
    """Return p_θ' of each frame of a batch, as its decoder had it: float32 [frames, states]."""
    rows = []
    for source, frame in zip(batch.sources, batch.frame, strict=True):
        row = np.searchsorted(source.decoded.kept, frame)
        rows.append(source.decoded.posteriors[row])
    return np.stack(rows)


def decoder_occupancies(batch: OuterBatch) -> Occupied:
    """Return the occupancies of each frame of a batch, as its decoder had them."""
    rows = []
    for source, frame in zip(batch.sources, batch.frame, strict=True):
        row = np.searchsorted(source.decoded.kept, frame)
        rows.append(source.decoded.occupied.row(row))
    return Occupied.join(rows)
