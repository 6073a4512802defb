"""The row of a push: the age of its parameters (paper, section 3.2).

An age in seconds counts both journeys, that of the parameters and that of the push: it begins when
the parameters were asked for and ends when the push was acknowledged. The request and the
acknowledgement carry no data, so this is longer by two latencies than the age at the server.
"""

from collections.abc import Sequence
from math import fsum, isfinite

from workbench.batches import FrameBatch, OuterBatch
from workbench.storage.rows import OuterAge, PushRow
from workbench.system.unchanging import unchanging
from workbench.training import updates
from workbench.training.messages import Ack, FetchedParameters, Gradient, Item

NORM_EVERY = 50  # pushes of a replica between two whose norm is taken, which costs a pass


@unchanging()
class SettledPush:
    """What a replica knows of a push that the server has answered."""

    item: Item
    seconds: float  # when it was acknowledged
    frames: int  # of the corpus that were visited since the last push
    refused: int  # times that it was too stale and computed again
    idle_seconds: float  # spent waiting for batches since the last push


def push_row(
    push: SettledPush,
    at: FetchedParameters,
    acks: Sequence[Ack],
    batches: Sequence[FrameBatch | OuterBatch],
    total: Gradient | None,
) -> PushRow:
    """Return the row of a push that was made with parameters ``at`` from ``batches``.

    ``acks`` hold the versions of the shards before the push. So staleness counts the updates that
    others made since the fetch, the mean over shards; it is 0 for plain SGD. ``total`` is the
    gradient.
    """
    here = [ack.version for ack in acks]
    behind = [version - then for version, then in zip(here, at.versions, strict=False)]
    return PushRow(
        replica=push.item.subset,
        step=push.item.step,
        status=acks[0].status.value,
        batch=total.frames if total else 0,
        version=here[0],
        versions=tuple(here),
        inner_versions=tuple(at.versions),
        staleness_inner=sum(behind) / len(behind),
        inner_seconds=push.seconds - at.seconds,
        skew=max(at.versions) - min(at.versions),
        outer=outer_age(batches, here, push.seconds),
        gradient_norm=mean_norm(total) if push.item.step % NORM_EVERY == 0 else None,
        sums=total.sums if total else {},
        frames=push.frames,
        refused=push.refused,
        idle_seconds=push.idle_seconds,
    )


def mean_norm(total: Gradient | None) -> float | None:
    """Return the Euclidean norm of the gradient per frame; None without one, or not finite.

    It has six digits, so that the order of a sum does not show.
    """
    if total is None or not total.frames:
        return None
    norm = updates.gradient_norm(total.value) / total.frames
    return six_digits(norm) if isfinite(norm) else None


def six_digits(number: float) -> float:
    """Return a number with six digits, in which the order of a sum does not show."""
    return float(f"{number:.6g}")


def outer_age(
    batches: Sequence[FrameBatch | OuterBatch], here: Sequence[int], now: float
) -> OuterAge | None:
    """Return the age of the decoders' parameters over the frames of the batches.

    None where targets were known beforehand.
    """
    outer = [batch for batch in batches if isinstance(batch, OuterBatch)]
    sources = [source for batch in outer for source in batch.sources]
    if not sources:
        return None

    shards = len(here)
    version_now = sum(here) / shards
    versions = [sum(source.versions[:shards]) / shards for source in sources]
    ages = [now - source.seconds for source in sources]
    mean_version = fsum(versions) / len(versions)
    return OuterAge(
        version=mean_version,
        version_min=min(versions),
        version_max=max(versions),
        staleness=version_now - mean_version,
        staleness_min=version_now - max(versions),
        staleness_max=version_now - min(versions),
        seconds=fsum(ages) / len(ages),
        seconds_min=min(ages),
        seconds_max=max(ages),
    )
