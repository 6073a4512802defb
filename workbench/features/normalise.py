"""Normalisation: means of utterances or speakers become 0, variances of mel bins 1.

The mean undoes channel and level, which differ from utterance to utterance. The scale is that of
the whole training set, so that a quiet bin is not blown up where it holds only noise. Held-out,
test and new audio take the scale of training.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.corpus.frames.window import MEL
from workbench.features.logmel import mel_or_fault
from workbench.settings import UserError

SMALLEST_DEVIATION = 1e-3
"""Standard deviation taken for a bin that never changes (natural logarithm of energy)."""

MeanOver = Literal["utterance", "speaker"]
"""Over which frames a mean is taken."""


@dataclass(frozen=True)
class Normalisation:
    """How features were normalised; UserError if the values do not belong together."""

    by: MeanOver
    rate: int  # of the features, Hz
    scale: tuple[float, ...]  # 40 factors, 1 / standard deviation on the training set

    def __post_init__(self) -> None:
        known = self.by in ("utterance", "speaker") and self.rate in (8000, 16000)
        if not known or len(self.scale) != MEL:
            raise UserError(
                f"normalisation by {self.by!r} at {self.rate} Hz with {len(self.scale)} factors: "
                "not possible"
            )
        object.__setattr__(self, "scale", tuple(float(s) for s in self.scale))

    def apply(self, features: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
        """Return log-mel energies [T, 40] normalised, float32.

        ``mean`` [40] is that of the speaker or utterance; None takes the mean of these frames.
        """
        if mean is None:
            mean = features.mean(axis=0, dtype=np.float64)
        return (features - np.asarray(mean, np.float32)) * np.array(self.scale, np.float32)

    def to_dict(self) -> dict[str, object]:
        """Return the entries of a frame store's ``about`` that `from_dict` reads."""
        return {"normalisation": self.by, "rate": self.rate, "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> "Normalisation":
        """Return the normalisation in a frame store's ``about``; raise UserError if it has none."""
        try:
            return cls(about["normalisation"], about["rate"], tuple(about["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the store of frames does not say how it was normalised ({error}): prepare again"
            ) from None


def extract_features(samples: np.ndarray, rate: int, like: Normalisation) -> np.ndarray:
    """Return features float32 [T, 40] of new audio, ``samples`` [n] at ``rate`` Hz.

    They are normalised as ``like``, but the mean is that of this audio. Raise UserError for audio
    that preparation would set aside.
    """
    found = mel_or_fault(samples, rate, like.rate)
    if isinstance(found, str):
        needed = f"; at least {like.rate} Hz are needed" if rate < like.rate else ""
        raise UserError(f"{found} ({len(samples)} samples at {rate} Hz{needed})")
    return like.apply(found)


class Moments:
    """Sums in double precision over the frames of each utterance or speaker."""

    def __init__(self) -> None:
        self._count: dict[str, int] = defaultdict(int)
        self._sum: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(MEL))
        self._squares = np.zeros(MEL)

    def add(self, key: str, features: np.ndarray) -> None:
        """Count ``features`` [T, 40] of the utterance or speaker ``key``."""
        wide = features.astype(np.float64)
        self._count[key] += len(wide)
        self._sum[key] += wide.sum(axis=0)
        self._squares += np.einsum("tm,tm->m", wide, wide)

    def mean(self, key: str) -> np.ndarray:
        """Return the mean, float64 [40], of all frames of ``key``."""
        return self._sum[key] / self._count[key]

    def scale(self) -> tuple[float, ...]:
        """Return 1 / standard deviation around the means, 40 numbers.

        Var = (sum of x^2 - sum over keys of n mean^2) / number of frames; without frames the scale
        is 1.
        """
        total = sum(self._count.values())
        if not total:
            return (1.0,) * MEL

        of_means = sum(s * s / self._count[key] for key, s in self._sum.items())
        variance = np.maximum((self._squares - of_means) / total, 0)
        deviation = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
        return tuple((1 / deviation).tolist())
