"""How old the parameters were that a gradient was computed with, when it reached the server (experiment E7).

A row of a push (a dict, or a row of a DataFrame) may have the columns

    kind            "push"; rows of other kinds are skipped, rows without a kind are pushes
    version         version of the server (or a list, one per shard) just before the push was applied
    inner_version   version that the replica had fetched (inner gradient), or a list ``inner_versions``, one per shard
    outer_version   version that the decoders had fetched (outer gradient), averaged over the frames of the batch
    seconds         age of the replica's parameters, in seconds
    outer_seconds   age of the decoders' parameters, in seconds, averaged over the frames of the batch

where None or NaN means that there is none, e.g. no outer gradient in cross-entropy training. Staleness is counted in
updates: 0 for plain SGD.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Staleness:
    """Of every push, float64 [pushes], nan where a row did not say.

    ``inner``, ``outer``: in updates, averaged over shards; ``inner_seconds``, ``outer_seconds``; ``skew``: newest minus
    oldest version among the shards of the replica's fetch, in updates.
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


def staleness(rows: Iterable[Mapping[str, Any]]) -> Staleness:
    """Reads rows (dicts or a DataFrame); ValueError if a push had seen a version that the server did not have yet."""
    records = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    found = [_push(row) for row in records if row.get("kind", "push") == "push"]
    columns = Staleness(*np.array(found, np.float64).reshape(-1, 5).T)
    for name, values in (("inner", columns.inner), ("outer", columns.outer)):
        if (values < 0).any():
            push = int(np.flatnonzero(values < 0)[0])
            raise ValueError(
                f"push {push} used {name} parameters newer than the server's by {-values[push]:g} updates"
            )
    return columns


def _push(row: Mapping[str, Any]) -> tuple[float, float, float, float, float]:
    version = _numbers(row.get("versions"))  # shard by shard: one may be ahead of another
    if np.isnan(version).any():
        version = _numbers(row.get("version"))
    inner = _numbers(row.get("inner_versions"))
    if np.isnan(inner).any():
        inner = _numbers(row.get("inner_version"))
    outer, seconds, outer_seconds = (
        _numbers(row.get(name)) for name in ("outer_version", "seconds", "outer_seconds")
    )
    return (
        float(np.mean(version - (inner[: len(version)] if len(version) > 1 else inner))),
        float(np.mean(version - outer)),
        float(np.mean(seconds)),
        float(np.mean(outer_seconds)),
        float(np.ptp(inner)),
    )


def _numbers(value: float | Sequence[float] | None) -> np.ndarray:
    """One or several numbers as an array of at least one; nan for none."""
    numbers = np.atleast_1d(np.asarray(math.nan if value is None else value, np.float64))
    return numbers if len(numbers) else np.array([math.nan])


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
    """Equally wide bins from 0 to the quantile ``reach``; the last one counts what lies beyond as well.

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
