"""The result of decoding one utterance. Light, so that training can name the type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Occupied:
    """Where the lattices are, on some frames, and what the decoder's network said of these states.

    Row i has ``states[indptr[i] : indptr[i + 1]]``, all that the numerator or the denominator
    visits at that frame; a row without entries has no sequence gradient. The occupancies of each
    sum to one in every other row.
    """

    indptr: np.ndarray  # int64 [rows + 1]
    states: np.ndarray  # int32 [entries]
    numerator: np.ndarray  # float32 [entries], γ_num
    denominator: np.ndarray  # float32 [entries], γ_den
    log_posteriors: np.ndarray  # float32 [entries], log p_θ'

    @property
    def frame(self) -> np.ndarray:
        """The row of every entry: int64 [entries]."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def row(self, number: int) -> "Occupied":
        """Return one row."""
        span = slice(self.indptr[number], self.indptr[number + 1])
        return Occupied(
            self.indptr[number : number + 2] - self.indptr[number],
            self.states[span],
            self.numerator[span],
            self.denominator[span],
            self.log_posteriors[span],
        )

    @classmethod
    def join(cls, parts: Sequence["Occupied"]) -> "Occupied":
        """Return the rows of all parts, one after another."""
        counts = np.concatenate([np.diff(part.indptr) for part in parts])
        return cls(
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([part.states for part in parts]),
            np.concatenate([part.numerator for part in parts]),
            np.concatenate([part.denominator for part in parts]),
            np.concatenate([part.log_posteriors for part in parts]),
        )


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
    """Criterion of the utterance; NaN if there is none.

    MMI, bMMI: num - den. MPE, sMBR: expected number of right frames, known wherever there is a
    lattice. Without denominator: log posterior of the targets.
    """
    reason: str | None  # why the utterance is set aside in training
    rejected: int  # frames
    cancelled: int  # frames
    words: tuple[int, ...]  # best path of the lattice; none without a path
    reference: tuple[int, ...]  # words of the numerator
    numerator_states: np.ndarray  # int32 [frames], the re-aligned reference; -1 without one
    num: float  # log total of the numerator
    den: float  # log total of the denominator, boosted for bMMI
    beam: float  # of the search
    found_path: bool = False  # whether the search for the lattice reached the end
    posteriors: np.ndarray | None = None
    """float32 [k, states], p_θ' of the kept frames, for the proximal auxiliary function only."""
    occupied: Occupied | None = None
    """The occupancies of the kept frames, for the reweighted auxiliary function only."""
