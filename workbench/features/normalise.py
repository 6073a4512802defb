"""Normalisation: the mean of an utterance or a speaker is taken off, then every mel bin is brought to unit variance.

The mean undoes channel and level, which differ from utterance to utterance; the scale is one of the whole training set,
so that a quiet bin is not blown up where it holds only noise. Held-out, test and new audio take the scale of training.
"""

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.corpus.files import write_file
from workbench.corpus.window import MEL
from workbench.settings import UserError

SMALLEST = 1e-3  # standard deviation of a bin that never changes, natural log of energy


@dataclass(frozen=True)
class Normalisation:
    """``by``: over what the mean is taken; ``rate``: of the features, Hz; ``scale``: 40 factors, 1/std of training."""

    by: Literal["utterance", "speaker"]
    rate: int
    scale: tuple[float, ...]

    def __post_init__(self):
        if self.by not in ("utterance", "speaker") or self.rate not in (8000, 16000) or len(self.scale) != MEL:
            raise UserError(
                f"normalisation by {self.by!r} at {self.rate} Hz with {len(self.scale)} factors: not possible"
            )
        object.__setattr__(self, "scale", tuple(float(s) for s in self.scale))

    def __call__(self, features: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
        """Log-mel energies [T, 40] normalised, float32; ``mean`` [40] (None: that of these frames)."""
        mean = features.mean(axis=0, dtype=np.float64) if mean is None else mean
        return (features - np.asarray(mean, np.float32)) * np.array(self.scale, np.float32)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, path: Path) -> None:
        write_file(Path(path), json.dumps(self.to_dict()).encode())

    @classmethod
    def load(cls, path: Path) -> "Normalisation":
        """UserError if the file is not one that ``save`` wrote."""
        try:
            return cls(**json.loads(Path(path).read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not a normalisation: {error}") from None


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
