"""How far apart two distributions are, from a sample of each."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Distance:
    """Two distances between distributions; NaN if one of the samples is empty."""

    kolmogorov_smirnov: float  # largest difference of the cumulative distributions, 0 to 1
    wasserstein: float  # mean distance by which values have to be moved, in their own unit


def distance(one: np.ndarray, other: np.ndarray) -> Distance:
    """Return the distances of two samples, float64; values that are NaN do not count."""
    first = one[~np.isnan(one)]
    second = other[~np.isnan(other)]
    if not len(first) or not len(second):
        return Distance(math.nan, math.nan)

    return Distance(
        # The statistic alone: its exact p, which is the default, can fail, with a warning.
        float(stats.ks_2samp(first, second, method="asymp").statistic),
        float(stats.wasserstein_distance(first, second)),
    )
