"""Where a replica's batches come from: an order of frames with known targets, or a channel of decoded utterances.

Both are used alike: ``fill`` (with ``yield from``) answers True when a batch is ready, CLOSED when none will be,
RESTING; then ``next`` hands it over. Between the two nothing is lost if the run comes to rest. ``credit`` is how many
frames of the corpus were visited since it was last asked: cancelled and rejected frames count, so that epochs are
epochs.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from workbench.batches import FrameBatch, FrameOrder, Loaded, OuterBatch, Slots
from workbench.engine.effects import CLOSED, RESTING, Close, Effect, Take, Work
from workbench.settings import Settings
from workbench.training.messages import Outer, Parameters

Fill = Generator[Effect, Any, Any]


@dataclass(frozen=True, eq=False)
class SourceState:
    """Enough to make a source again."""

    step: int = 0  # batches handed over
    loaded: tuple[Loaded | None, ...] = ()
    skipped: int = 0
    credit: int = 0


class Source(Protocol):
    """What a replica needs of its batches; ``step`` counts those handed over."""

    step: int

    def go_on(self, state: SourceState) -> None: ...
    def fill(self) -> Fill: ...
    def next(self) -> FrameBatch | OuterBatch: ...
    def refresh(self, batch: Any, at: Parameters) -> Fill: ...
    def credit(self) -> int: ...
    def close(self) -> Fill: ...
    def state(self) -> SourceState: ...


class FrameSource:
    """Batches of frames whose targets are known: cross entropy."""

    def __init__(self, order: FrameOrder):
        self.order, self.step, self.visited = order, 0, 0
        self.go_on(SourceState())

    def go_on(self, state: SourceState) -> None:
        self.batches, self.step, self.visited = (
            self.order.batches(state.step),
            state.step,
            state.credit,
        )
        self.ready: Any = None  # the next positions, once fill has looked

    def fill(self) -> Fill:
        if self.ready is None:
            self.ready = next(self.batches, None)
        return CLOSED if self.ready is None else True
        yield  # a generator, like every source's

    def next(self) -> FrameBatch:
        batch, self.ready = FrameBatch(self.ready), None  # fill said True
        self.step, self.visited = self.step + 1, self.visited + len(batch.positions)
        return batch

    def refresh(self, batch: FrameBatch, at: Parameters) -> Fill:
        return batch
        yield  # targets do not age

    def credit(self) -> int:
        credit, self.visited = self.visited, 0
        return credit

    def close(self) -> Fill:
        return
        yield  # nobody waits for us

    def state(self) -> SourceState:
        return SourceState(self.step, credit=self.visited)


class OuterSource:
    """Batches of outer gradients from the decoder at the other end of ``channel``.

    With ``decode`` (auxiliary=fresh) every batch is decoded again with the replica's own parameters: the frames are
    those that the decoder kept, less those that are not kept any more; the outer gradients are exact. It costs a
    decode per slot and batch.
    """

    def __init__(
        self,
        channel: str,
        settings: Settings,
        decode: Callable[[np.ndarray, int], Any] | None = None,
    ):
        if (settings.criterion.auxiliary == "fresh") != (decode is not None):
            raise ValueError("decode is needed if and only if auxiliary=fresh")
        self.channel, self.settings, self.decode = channel, settings, decode
        self.go_on(SourceState())

    def go_on(self, state: SourceState) -> None:
        consecutive = self.settings.batches.shuffling == "none"
        self.step, self.visited = state.step, state.credit
        self.slots = Slots(self.settings.batches.size, consecutive, state.loaded, state.skipped)
        self.fresh: dict[int, Outer] = {}  # by utterance, made with the parameters of ``versions``
        self.versions: tuple[int, ...] = ()

    def fill(self) -> Fill:
        while self.slots.wanting:
            outer = yield Take(self.channel)
            if outer is RESTING:
                return RESTING
            if outer is CLOSED:
                return CLOSED if self.slots.empty else True
            self.visited += outer.decoded.frames
            self.slots.load(outer)
        return True

    def next(self) -> OuterBatch:
        self.step += 1
        return self.slots.next()

    def refresh(self, batch: OuterBatch, at: Parameters) -> Fill:
        if self.decode is None:
            return batch
        if at.versions != self.versions:
            self.fresh, self.versions = {}, at.versions
        for source in batch.sources:
            utterance = source.decoded.utterance
            if utterance not in self.fresh:
                decoded = yield Work(
                    self.decode, (at.theta, utterance), source.decoded.frames, "decode"
                )
                self.fresh[utterance] = Outer(decoded, at.versions, at.seconds)
        return renewed(batch, self.fresh)

    def credit(self) -> int:
        credit, self.visited = self.visited, 0
        return credit

    def close(self) -> Fill:
        yield Close(self.channel)

    def state(self) -> SourceState:
        return SourceState(self.step, self.slots.state(), self.slots.skipped, self.visited)


def renewed(batch: OuterBatch, fresh: dict[int, Outer]) -> OuterBatch:
    """The frames of ``batch`` with the outer gradients of ``fresh``, less those that are not kept there."""
    rows = []
    for utterance, frame in zip(batch.utterance.tolist(), batch.frame.tolist(), strict=True):
        kept = fresh[utterance].decoded.kept
        at = int(np.searchsorted(kept, frame))
        if at < len(kept) and kept[at] == frame:
            rows.append((fresh[utterance], at, at + 1))
    return OuterBatch.of(rows)
