"""The age of parameters: how old they were when a gradient computed with them reached the server.

Staleness is counted in updates by others, 0 for plain SGD, and in seconds (paper section 3.2). The
inner gradient is computed by a replica from its own parameters, the outer one by decoders from
theirs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.storage.rows import PushRow


@dataclass(frozen=True)
class Staleness:
    """The ages of each push, float64 [pushes]; NaN for a push without outer gradient.

    ``inner``, ``outer``: in updates, averaged over shards. ``inner_seconds``, ``outer_seconds``:
    age in seconds. ``skew``: newest minus oldest version among the shards of the replica's fetch,
    in updates.
    """

    inner: np.ndarray
    outer: np.ndarray
    inner_seconds: np.ndarray
    outer_seconds: np.ndarray
    skew: np.ndarray


@dataclass(frozen=True)
class Summary:
    """Of the values that are numbers: how many, and what they are like (nan if there are none)."""

    count: int
    mean: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Histogram:
    """``counts`` int64 [bins] of values between neighbouring ``edges`` float64 [bins + 1]."""

    edges: np.ndarray
    counts: np.ndarray


def staleness(pushes: Iterable[PushRow]) -> Staleness:
    """The ages in rows of pushes.

    Raises ValueError if a push had used a version that the server did not have yet.
    """
    ages = [_ages_of(push) for push in pushes]
    columns = Staleness(*np.array(ages, np.float64).reshape(-1, 5).T)
    for name, values in (("inner", columns.inner), ("outer", columns.outer)):
        if (values < 0).any():
            push = int(np.flatnonzero(values < 0)[0])
            raise ValueError(
                f"push {push} used {name} parameters newer than the server's "
                f"by {-values[push]:g} updates"
            )
    return columns


def _ages_of(push: PushRow) -> tuple[float, float, float, float, float]:
    """The fields of a `Staleness` for one push."""
    here = np.asarray(push.versions, np.float64)
    inner = np.asarray(push.inner_versions, np.float64)
    outer_version = push.outer.version if push.outer else math.nan
    outer_seconds = push.outer.seconds if push.outer else math.nan
    return (
        float(np.mean(here - inner[: len(here)])),
        float(np.mean(here - outer_version)),
        push.inner_seconds,
        outer_seconds,
        float(np.ptp(inner)),
    )


def summary(values: np.ndarray) -> Summary:
    """Of one column."""
    values = _known(values)
    if not len(values):
        return Summary(0, *[math.nan] * 4)
    return Summary(
        len(values),
        *map(float, (values.mean(), np.median(values), np.quantile(values, 0.95), values.max())),
    )


def histogram(
    values: np.ndarray, bins: int = 40, whole: bool = False, reach: float = 1.0
) -> Histogram:
    """Equally wide bins from 0 to the quantile ``reach``; the last one counts what lies beyond as
    well.

    ``whole``: each bin holds one or more whole numbers (updates).
    """
    values = _known(values)
    top = float(np.quantile(values, reach)) if len(values) else 0.0
    values = np.minimum(values, top)
    if whole:
        width = max(1, math.ceil((top + 1) / bins))
        edges = np.arange(0, math.floor(top) + 1 + width, width) - 0.5
    else:
        edges = np.linspace(0, top or 1.0, bins + 1)
    counts, _ = np.histogram(values, edges)
    return Histogram(edges, counts)


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]
