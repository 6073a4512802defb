"""The result of decoding one utterance. Light, so that training can name the type."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Decoded:
    """One utterance with its outer gradient.

    Frame numbers count inside the utterance; logarithms are natural. Row i of the outer gradient is
    ``values[indptr[i] : indptr[i + 1]]`` at ``states[indptr[i] : indptr[i + 1]]``.
    """

    utterance: int
    frames: int
    kept: np.ndarray  # int32 [k], the frames to train on
    indptr: np.ndarray  # int64 [k + 1]
    states: np.ndarray  # int32 [entries]
    values: np.ndarray  # float32 [entries]
    mass: float  # sum of each row
    value: float
    """Criterion of the utterance; NaN, with a ``reason``, if the utterance is set aside.

    MMI: num - den. MPE, sMBR: expected number of right frames. Without denominator: log posterior
    of the targets.
    """
    reason: str | None
    rejected: int  # frames
    cancelled: int  # frames
    words: tuple[int, ...]  # best path of the lattice
    reference: tuple[int, ...]  # words of the numerator
    numerator_states: np.ndarray  # int32 [frames], the re-aligned reference; -1 without one
    num: float  # log total of the numerator
    den: float  # log total of the denominator
    beam: float  # of the search
    posteriors: np.ndarray | None = None
    """float32 [k, states], p_θ' of the kept frames, for the proximal auxiliary function only."""
