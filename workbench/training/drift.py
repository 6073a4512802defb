"""Drift: how far parameters and outer gradients move between a decoder and its replica.

On one utterance in ``drift_every`` the decoder sends its parameters θ' along. When the replica
trains on a frame of it, it compares them with its own θ, and the outer gradient with one that is
decoded anew at θ. So each kept frame of training has the same chance to be looked at, at the age
that it has then.

This is no `Work`, since it must not take time on a virtual clock: a run has the same numbers with
and without it. It draws from a stream of its own.
"""

from collections.abc import Iterator
from operator import sub

from workbench.batches import OuterBatch
from workbench.sequence.decoded import Decoded
from workbench.settings import Settings, rng
from workbench.storage.rows import Drift, DriftRow
from workbench.training.messages import DecodedUtterance, DriftOrigin, FetchedParameters


def draw_origin(
    settings: Settings, decoder: str, position: int, decoded: Decoded, at: FetchedParameters
) -> DriftOrigin | None:
    """Return from where drift is to be measured on an utterance; None if it is not.

    ``position``: the number of the utterance in the decoder's order.
    """
    every = settings.measuring.drift_every
    if not every or not len(decoded.kept):
        return None

    draws = rng(settings.seed, "drift", decoder, position)
    if draws.integers(every):
        return None
    return DriftOrigin(at.theta, int(draws.choice(decoded.kept)))


def due_sources(batch: OuterBatch[DecodedUtterance]) -> Iterator[DecodedUtterance]:
    """Yield the utterances of a batch on whose frame there drift is to be measured."""
    for source, frame in zip(batch.sources, batch.frame.tolist(), strict=True):
        if source.origin is not None and source.origin.frame == frame:
            yield source


def drift_row(source: DecodedUtterance, at: FetchedParameters, drift: Drift) -> DriftRow:
    """Return the row of an utterance that was compared with parameters ``at``."""
    assert source.origin is not None  # it was due
    behind = list(map(sub, at.versions, source.versions))
    return DriftRow(
        utterance=source.decoded.utterance,
        frame=source.origin.frame,
        version=at.versions[0],
        versions=tuple(at.versions),
        outer_versions=tuple(source.versions),
        staleness=sum(behind) / len(behind),
        age_seconds=at.seconds - source.seconds,
        drift=drift,
    )
