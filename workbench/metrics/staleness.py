"""The age of parameters when a gradient that was computed with them reached the server.

Staleness is counted in updates by others, 0 for plain SGD, and in seconds (paper, section 3.2). The
inner gradient is computed by a replica from its own parameters, the outer one by decoders from
theirs.
"""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.storage.rows import DecodeRow, PushRow
from workbench.storage.run import Run

UNSETTLED = 0.1
"""Share of a run's decodes, the first ones, that do not count for the frames that it keeps."""


@dataclass(frozen=True)
class Staleness:
    """The ages of each push, float64 [pushes]; NaN for a push without outer gradient.

    ``inner`` and ``outer`` are in updates, averaged over shards. ``skew``: newest minus oldest
    version among the shards of the replica's fetch, in updates.
    """

    inner: np.ndarray
    outer: np.ndarray
    inner_seconds: np.ndarray
    outer_seconds: np.ndarray
    skew: np.ndarray


class KeptStatistics(NamedTuple):
    """How many frames of an utterance are trained on.

    ``mean``: E[k]. ``weighted``: E[k²] / E[k], the mean over frames in place of utterances.
    """

    mean: float
    weighted: float


class ExpectedAge(NamedTuple):
    """Bounds of the mean age of outer gradients, in updates of the server."""

    low: float  # the replica waits for its decoder
    high: float  # the decoder waits for its replica, so the channel is full


@dataclass(frozen=True)
class AgeSummary:
    """The number of ages, and their statistics; NaN if there are none."""

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


class _PushAges(NamedTuple):
    """The fields of `Staleness` for one push."""

    inner: float
    outer: float
    inner_seconds: float
    outer_seconds: float
    skew: float


class AgeTable:
    """The ages of pushes that come one by one.

    Only numbers are kept, no push of a long run as an object.
    """

    def __init__(self) -> None:
        self._numbers = array("d")

    def add(self, push: PushRow) -> None:
        """Add the ages of one more push."""
        self._numbers.extend(_ages_of(push))

    def staleness(self) -> Staleness:
        """Return all ages; ValueError as in `staleness`."""
        table = np.array(self._numbers, np.float64).reshape(-1, len(_PushAges._fields))
        found = Staleness(*table.T)
        _check_not_newer("inner", found.inner)
        _check_not_newer("outer", found.outer)
        return found


def staleness(pushes: Iterable[PushRow]) -> Staleness:
    """Return the ages in rows of pushes.

    Raises ValueError if a push had used a version that the server did not have yet.
    """
    table = AgeTable()
    for push in pushes:
        table.add(push)
    return table.staleness()


def _ages_of(push: PushRow) -> _PushAges:
    here = np.asarray(push.versions, np.float64)
    inner = np.asarray(push.inner_versions, np.float64)
    outer = push.outer.version if push.outer else math.nan
    return _PushAges(
        inner=float(np.mean(here - inner[: len(here)])),
        outer=float(np.mean(here - outer)),
        inner_seconds=push.inner_seconds,
        outer_seconds=push.outer.seconds if push.outer else math.nan,
        skew=float(np.ptp(inner)),
    )


def _check_not_newer(name: str, ages: np.ndarray) -> None:
    """Raise ValueError that names the first push with a negative age."""
    if (ages < 0).any():
        push = int(np.flatnonzero(ages < 0)[0])
        raise ValueError(
            f"push {push} used {name} parameters newer than the server's by {-ages[push]:g} updates"
        )


def kept_frames(kept: np.ndarray) -> KeptStatistics | None:
    """Return the statistics of the frames ``kept`` [utterances]; None if none is kept.

    Utterances without kept frames never enter a slot, so they do not count for the means.
    """
    used = np.asarray(kept, np.float64)
    used = used[used > 0]
    if not len(used):
        return None
    mean = float(used.mean())
    return KeptStatistics(mean, float((used**2).mean()) / mean)


def kept_of_run(run: Run) -> KeptStatistics | None:
    """Return the statistics of the frames that a run kept, without its first decodes."""
    rows = sorted(run.rows(DecodeRow), key=lambda row: row.seconds)
    settled = rows[int(UNSETTLED * len(rows)) :]
    return kept_frames(np.array([row.kept for row in settled]))


def expected_outer_age(
    kept: KeptStatistics, replicas: int, batch: int, channel: int
) -> ExpectedAge:
    """Return how old outer gradients will be on the mean, in closed form.

    It holds where each utterance is decoded with newly fetched parameters.

    An utterance that keeps k frames stays k steps of its replica in its slot, so its frame number j
    is j steps old; the mean over frames is (E[k²] / E[k] - 1) / 2. Decoding one utterance takes as
    many steps as pass until a slot is empty, E[k] / N with N slots, and up to ``channel`` decoded
    utterances wait before it. With R replicas R updates of the server are made in a step.

    There is no speed in this, and the batch is only in the small last terms.
    """
    in_slot = (kept.weighted - 1) / 2
    decoding = kept.mean / batch
    low = replicas * (in_slot + decoding)
    return ExpectedAge(low, low + replicas * channel * decoding)


def summarise_ages(values: np.ndarray) -> AgeSummary:
    """Return the statistics of the values that are numbers."""
    values = _without_nan(values)
    if not len(values):
        return AgeSummary(0, math.nan, math.nan, math.nan, math.nan)
    return AgeSummary(
        count=len(values),
        mean=float(values.mean()),
        median=float(np.median(values)),
        p95=float(np.quantile(values, 0.95)),
        max=float(values.max()),
    )


def histogram(
    values: np.ndarray, bins: int = 40, whole: bool = False, reach: float = 1.0
) -> Histogram:
    """Return counts in equally wide bins from 0 to the quantile ``reach`` of the values.

    The last bin counts what lies beyond as well. ``whole``: each bin holds one or more whole
    numbers, such as updates.
    """
    values = _without_nan(values)
    top = float(np.quantile(values, reach)) if len(values) else 0.0
    values = np.minimum(values, top)

    if whole:
        width = max(1, math.ceil((top + 1) / bins))
        edges = np.arange(0, math.floor(top) + 1 + width, width) - 0.5
    else:
        edges = np.linspace(0, top or 1.0, bins + 1)
    counts, _ = np.histogram(values, edges)
    return Histogram(edges, counts)


def _without_nan(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]
