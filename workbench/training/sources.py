"""Sources of a replica's batches: frames with known targets, or decoded utterances.

Both are used alike. ``fill`` (with ``yield from``) prepares the next batch, then ``next`` hands it
over; if the run comes to rest between the two, nothing is lost. ``credit`` is the number of frames
of the corpus that were visited since the last call. Cancelled and rejected frames count, so that
epochs are epochs.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

import numpy as np

from workbench.batches import FrameBatch, FrameOrder, Loaded, OuterBatch, Piece, Slots
from workbench.batches.turnover import has_slots
from workbench.engine.effects import CLOSED, RESTING, Close, Emit, Steps, Take, Work
from workbench.settings import Settings, rng
from workbench.training.drift import drift_row, due_sources
from workbench.training.messages import (
    Decode,
    DecodedUtterance,
    FetchedParameters,
    MeasureDrift,
)

Batch = TypeVar("Batch", FrameBatch, OuterBatch)
Result = TypeVar("Result")


class Supply(Enum):
    """Whether a source can hand over a batch."""

    READY = "a batch is ready"
    EXHAUSTED = "there will be no more batches"
    RESTING = "the run is coming to rest"


@dataclass(frozen=True, eq=False)
class SourceState:
    """The state from which a source can be made again."""

    step: int = 0  # batches handed over
    loaded: tuple[Loaded | None, ...] = ()  # in the slots
    skipped: int = 0  # utterances without frames to train on
    credit: int = 0  # frames visited and not yet reported


class BatchSource(Protocol[Batch]):
    """What a replica needs of its source; ``step`` counts the batches handed over."""

    step: int

    def resume(self, state: SourceState) -> None:
        """Continue from a saved state."""

    def fill(self) -> Steps[Supply]:
        """Prepare the next batch, waiting for it if need be."""

    def next(self) -> Batch:
        """Hand over the batch that ``fill`` has found ready."""

    def refresh(self, batch: Batch, at: FetchedParameters) -> Steps[Batch]:
        """Return ``batch`` as it is to be used with the parameters ``at``."""

    def measure_drift(self, batch: Batch, at: FetchedParameters) -> Steps[None]:
        """Emit a row for each utterance of ``batch`` whose drift is due, measured ``at`` these."""

    def credit(self) -> int:
        """Return the number of frames visited since the last call."""

    def close(self) -> Steps[None]:
        """Take no more."""

    def state(self) -> SourceState:
        """Return the state to be saved."""


class FrameSource:
    """Batches of frames whose targets are known, for cross entropy."""

    def __init__(self, order: FrameOrder):
        self.order = order
        self.resume(SourceState())

    def resume(self, state: SourceState) -> None:
        """Continue from a saved state."""
        self.batches = self.order.batches(state.step)
        self.step = state.step
        self.visited = state.credit
        self.ready: np.ndarray | None = None  # positions of the next batch, found by ``fill``

    def fill(self) -> Steps[Supply]:
        """Prepare the next batch."""
        if self.ready is None:
            self.ready = next(self.batches, None)
        return without_effects(Supply.EXHAUSTED if self.ready is None else Supply.READY)

    def next(self) -> FrameBatch:
        """Hand over the batch that ``fill`` has found ready."""
        assert self.ready is not None
        batch = FrameBatch(self.ready)
        self.ready = None
        self.step += 1
        self.visited += len(batch.positions)
        return batch

    def refresh(self, batch: FrameBatch, at: FetchedParameters) -> Steps[FrameBatch]:
        """Return ``batch`` itself: known targets do not age."""
        return without_effects(batch)

    def measure_drift(self, batch: FrameBatch, at: FetchedParameters) -> Steps[None]:
        """Do nothing: known targets do not age."""
        return without_effects(None)

    def credit(self) -> int:
        """Return the number of frames visited since the last call."""
        credit = self.visited
        self.visited = 0
        return credit

    def close(self) -> Steps[None]:
        """Do nothing: no other component waits for this source."""
        return without_effects(None)

    def state(self) -> SourceState:
        """Return the state to be saved."""
        return SourceState(self.step, credit=self.visited)


class OuterSource:
    """Batches of outer gradients from the decoder at the other end of ``channel``.

    With ``decode`` (auxiliary=fresh) every batch is decoded again with the replica's own
    parameters. Its frames are those that the decoder kept, without those that are no longer kept;
    their outer gradients are exact. This costs one decoding per slot and batch. ``drift``: how
    drift is measured, needed if it is (`workbench.training.drift`).
    """

    def __init__(
        self,
        channel: str,
        settings: Settings,
        decode: Decode | None = None,
        drift: MeasureDrift | None = None,
    ):
        if (settings.criterion.auxiliary == "fresh") != (decode is not None):
            raise ValueError("decode is needed if and only if auxiliary=fresh")
        if settings.measuring.drift_every and drift is None:
            raise ValueError("drift_every needs a function that measures drift")
        self.channel = channel
        self.settings = settings
        self.decode = decode
        self.drift = drift
        self.resume(SourceState())

    def resume(self, state: SourceState) -> None:
        """Continue from a saved state."""
        consecutive = self.settings.batches.shuffling == "none"
        self.step = state.step
        self.visited = state.credit
        self.slots = Slots(self.settings.batches.size, consecutive, state.loaded, state.skipped)
        self.fresh: dict[int, DecodedUtterance] = {}  # by utterance, decoded at ``versions``
        self.versions: tuple[int, ...] = ()

    def fill(self) -> Steps[Supply]:
        """Take decoded utterances from the channel until the next batch is complete."""
        while self.slots.wanting:
            arrived = yield Take(self.channel)
            if arrived is RESTING:
                return Supply.RESTING
            if arrived is CLOSED:
                return Supply.EXHAUSTED if self.slots.empty else Supply.READY
            self.visited += arrived.decoded.frames
            self.slots.load(arrived, self._first_cut())

        return Supply.READY

    def _first_cut(self) -> float:
        """Return which share of the next utterance is left out, so that slots start apart.

        Only before the first batch. Later utterances go to slots that are out of step by then.
        """
        batches = self.settings.batches
        apart = has_slots(self.settings) and batches.slot_start == "apart"
        if not apart or self.step:
            return 0.0
        cuts = rng(self.settings.seed, "slots", self.channel).random(batches.size)
        return float(cuts[self.slots.occupied])

    def next(self) -> OuterBatch:
        """Hand over the batch that ``fill`` has found ready."""
        self.step += 1
        return self.slots.next()

    def refresh(self, batch: OuterBatch, at: FetchedParameters) -> Steps[OuterBatch]:
        """Return ``batch``; with auxiliary=fresh, decoded again with the parameters ``at``."""
        if self.decode is None:
            return batch
        if at.versions != self.versions:
            self.fresh = {}
            self.versions = at.versions

        for source in batch.sources:
            utterance = source.decoded.utterance
            if utterance not in self.fresh:
                frames = source.decoded.frames
                decoded = yield Work(self.decode, (at.theta, utterance), frames, "decode")
                self.fresh[utterance] = DecodedUtterance(decoded, at.versions, at.seconds)

        return replace_rows(batch, self.fresh)

    def measure_drift(self, batch: OuterBatch, at: FetchedParameters) -> Steps[None]:
        """Emit a row for each utterance of ``batch`` whose drift is due, measured ``at`` these."""
        assert self.drift is not None  # drift is measured
        for source in due_sources(batch):
            drift = self.drift(at.theta, source)
            if drift is not None:
                yield Emit(drift_row(source, at, drift))

    def credit(self) -> int:
        """Return the number of frames visited since the last call."""
        credit = self.visited
        self.visited = 0
        return credit

    def close(self) -> Steps[None]:
        """Close the channel, so that the decoder ends."""
        yield Close(self.channel)

    def state(self) -> SourceState:
        """Return the state to be saved."""
        return SourceState(self.step, self.slots.state(), self.slots.skipped, self.visited)


def without_effects(result: Result) -> Steps[Result]:
    """Return ``result`` as a component's part that yields no effect."""
    yield from ()
    return result


def replace_rows(batch: OuterBatch, fresh: dict[int, DecodedUtterance]) -> OuterBatch:
    """Return ``batch`` with the outer gradients of ``fresh``, less the frames not kept there."""
    pieces = []
    for utterance, frame in zip(batch.utterance.tolist(), batch.frame.tolist(), strict=True):
        kept = fresh[utterance].decoded.kept
        at = int(np.searchsorted(kept, frame))
        if at < len(kept) and kept[at] == frame:
            pieces.append(Piece(fresh[utterance], at, at + 1))
    return OuterBatch.of(pieces)
