"""Normalisation: the mean of an utterance or a speaker is taken off, then every mel bin is brought to unit variance.

The mean undoes channel and level, which differ from utterance to utterance; the scale is one of the whole training set,
so that a quiet bin is not blown up where it holds only noise. Held-out, test and new audio take the scale of training.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.corpus.frames.window import MEL
from workbench.features.logmel import log_mel
from workbench.settings import UserError

SMALLEST = 1e-3  # standard deviation of a bin that never changes, natural log of energy


@dataclass(frozen=True)
class Normalisation:
    """``by``: over what the mean is taken; ``rate``: of the features, Hz; ``scale``: 40 factors, 1/std of training."""

    by: Literal["utterance", "speaker"]
    rate: int
    scale: tuple[float, ...]

    def __post_init__(self):
        if (
            self.by not in ("utterance", "speaker")
            or self.rate not in (8000, 16000)
            or len(self.scale) != MEL
        ):
            raise UserError(
                f"normalisation by {self.by!r} at {self.rate} Hz with {len(self.scale)} factors: not possible"
            )
        object.__setattr__(self, "scale", tuple(float(s) for s in self.scale))

    def __call__(self, features: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
        """Log-mel energies [T, 40] normalised, float32; ``mean`` [40] (None: that of these frames)."""
        mean = features.mean(axis=0, dtype=np.float64) if mean is None else mean
        return (features - np.asarray(mean, np.float32)) * np.array(self.scale, np.float32)

    def about(self) -> dict[str, Any]:
        """As it is kept in the ``about`` of a frame store."""
        return {"normalisation": self.by, "rate": self.rate, "scale": list(self.scale)}

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> "Normalisation":
        """From the ``about`` of a frame store; UserError if that is not there."""
        try:
            return cls(about["normalisation"], about["rate"], tuple(about["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the store of frames does not say how it was normalised ({error}): prepare again"
            ) from None


def features_of(samples: np.ndarray, rate: int, about: Mapping[str, Any]) -> np.ndarray:
    """Features float32 [T, 40] of new audio, made as those of the store with this ``about``; the mean is of this audio.

    UserError if the audio has a lower rate than the store was made for.
    """
    chosen = Normalisation.of(about)
    if rate < chosen.rate:
        raise UserError(f"audio of {rate} Hz; the model needs at least {chosen.rate} Hz")
    return chosen(log_mel(samples, rate, chosen.rate))


class Moments:
    """Sums over frames for each utterance or speaker, in double precision, from which means and the scale follow."""

    def __init__(self):
        self._count: dict[str, int] = defaultdict(int)
        self._sum: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(MEL))
        self._squares = np.zeros(MEL)

    def add(self, key: str, features: np.ndarray) -> None:
        wide = features.astype(np.float64)
        self._count[key] += len(wide)
        self._sum[key] += wide.sum(axis=0)
        self._squares += np.einsum("tm,tm->m", wide, wide)

    def mean(self, key: str) -> np.ndarray:
        return self._sum[key] / self._count[key]

    def scale(self) -> tuple[float, ...]:
        """1 / standard deviation [40] around the means: Var = (sum x^2 - sum_key n mean^2) / n."""
        total = sum(self._count.values())
        if not total:
            return (1.0,) * MEL
        about = self._squares - sum(s * s / self._count[key] for key, s in self._sum.items())
        return tuple((1 / np.maximum(np.sqrt(np.maximum(about / total, 0)), SMALLEST)).tolist())
