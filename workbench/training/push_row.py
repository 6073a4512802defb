"""How old was what a push was made of: in updates and in seconds, inner and outer gradient (paper section 3.2)."""

from collections.abc import Sequence
from typing import Any

from workbench.batches import FrameBatch, OuterBatch
from workbench.training.messages import Ack, Gradient, Parameters


def push_row(
    at: Parameters, acks: list[Ack], batches: Sequence, total: Gradient | None, now: float
) -> dict[str, Any]:
    """The columns of a push that was made with parameters ``at`` and sent at time ``now``.

    ``versions`` are those of the shards before the push, so staleness counts the updates that others made since the
    fetch, the mean over shards: 0 for plain SGD. ``skew``: newest minus oldest version among the shards of one fetch.
    """
    here = [ack.version for ack in acks]
    inner = [version - then for version, then in zip(here, at.versions, strict=False)]
    return {
        "status": acks[0].status.value,
        "batch": total.frames if total else 0,
        "version": here[0],
        "versions": here,
        "inner_versions": list(at.versions),
        "staleness_inner": sum(inner) / len(inner),
        "inner_seconds": now - at.seconds,
        "skew": max(at.versions) - min(at.versions),
        **outer_columns(batches, here, now),
        **(total.sums if total else {}),
    }


def outer_columns(
    batches: Sequence[FrameBatch | OuterBatch], here: list[int], now: float
) -> dict[str, float]:
    """The age of the decoders' parameters, over the frames of the batches; nothing if targets were known beforehand."""
    sources = [s for batch in batches if isinstance(batch, OuterBatch) for s in batch.sources]
    if not sources:
        return {}
    shards = len(here)
    version = [sum(s.versions[:shards]) / shards for s in sources]
    age = [now - s.seconds for s in sources]
    now_at, mean_version, mean_age = (
        sum(here) / shards,
        sum(version) / len(version),
        sum(age) / len(age),
    )
    return {
        "outer_version": mean_version,
        "outer_version_min": min(version),
        "outer_version_max": max(version),
        "staleness_outer": now_at - mean_version,
        "staleness_outer_min": now_at - max(version),
        "staleness_outer_max": now_at - min(version),
        "outer_seconds": mean_age,
        "outer_seconds_min": min(age),
        "outer_seconds_max": max(age),
    }
