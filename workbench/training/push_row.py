"""The row of a push: how old its parameters were, in updates and in seconds (paper, section 3.2)."""

from collections.abc import Sequence
from typing import Any

from workbench.batches import FrameBatch, OuterBatch
from workbench.training.messages import Ack, FetchedParameters, Gradient


def push_row(
    at: FetchedParameters,
    acks: Sequence[Ack],
    batches: Sequence[FrameBatch | OuterBatch],
    total: Gradient | None,
    now: float,
) -> dict[str, Any]:
    """Return the columns of a push that was made with parameters ``at`` and sent at time ``now``.

    ``versions`` are those of the shards before the push. So staleness counts the updates that others
    made since the fetch, the mean over shards; it is 0 for plain SGD. ``skew`` is the newest minus the
    oldest version among the shards of one fetch.
    """
    here = [ack.version for ack in acks]
    behind = [version - then for version, then in zip(here, at.versions, strict=False)]
    return {
        "status": acks[0].status.value,
        "batch": total.frames if total else 0,
        "version": here[0],
        "versions": here,
        "inner_versions": list(at.versions),
        "staleness_inner": sum(behind) / len(behind),
        "inner_seconds": now - at.seconds,
        "skew": max(at.versions) - min(at.versions),
        **outer_columns(batches, here, now),
        **(total.sums if total else {}),
    }


def outer_columns(
    batches: Sequence[FrameBatch | OuterBatch], here: Sequence[int], now: float
) -> dict[str, float]:
    """Return the age of the decoders' parameters, over the frames of the batches.

    The columns are missing where targets were known beforehand.
    """
    outer = [batch for batch in batches if isinstance(batch, OuterBatch)]
    sources = [source for batch in outer for source in batch.sources]
    if not sources:
        return {}

    shards = len(here)
    version_now = sum(here) / shards
    versions = [sum(source.versions[:shards]) / shards for source in sources]
    ages = [now - source.seconds for source in sources]
    mean_version = sum(versions) / len(versions)
    return {
        "outer_version": mean_version,
        "outer_version_min": min(versions),
        "outer_version_max": max(versions),
        "staleness_outer": version_now - mean_version,
        "staleness_outer_min": version_now - max(versions),
        "staleness_outer_max": version_now - min(versions),
        "outer_seconds": sum(ages) / len(ages),
        "outer_seconds_min": min(ages),
        "outer_seconds_max": max(ages),
    }
