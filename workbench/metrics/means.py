"""Means of independent values, and how well they are known."""

from typing import NamedTuple

import numpy as np
from scipy import stats


class MeanInterval(NamedTuple):
    """A mean and its interval; nan where there are too few values."""

    mean: float
    low: float
    high: float


def mean_interval(values: np.ndarray, level: float = 0.95) -> MeanInterval:
    """Return the mean of the finite values, and Student's interval of two or more of them."""
    values = values[np.isfinite(values)]
    if not len(values):
        return MeanInterval(np.nan, np.nan, np.nan)
    mean = float(values.mean())
    if len(values) < 2:
        return MeanInterval(mean, np.nan, np.nan)
    quantile = stats.t.ppf(0.5 + level / 2, len(values) - 1)
    half = float(quantile * values.std(ddof=1) / np.sqrt(len(values)))
    return MeanInterval(mean, mean - half, mean + half)
