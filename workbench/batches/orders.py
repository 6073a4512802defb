"""The order in which replicas visit frames, and decoders utterances (paper, section 3.1, Fig. 2).

All passes over the data make one stream. A batch may hold the last frames of one epoch and the
first of the next, so every batch is full until the stream ends; with on-the-fly shuffling the
remaining slots then drain, one after another, which takes long where utterances are few
(`turnover`). Batch ``n`` is a pure function of the order's fields and ``n``: a run that resumes
asks for ``batches(first=n)``.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from workbench.settings import Alternatives, UserError, rng
from workbench.settings.alternatives import added_choices
from workbench.system.unchanging import unchanging

BLOCK = 2048  # utterances whose frames are laid out at once: bounds memory, not the result


@unchanging(eq=False)
class FrameBatch:
    """Frames to train on, with targets that are known before training."""

    positions: np.ndarray  # int64 [frames], numbers of frames in the frame store

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class UtteranceOrder:
    """A stream of utterances: ``epochs`` random permutations of a subset, the last perhaps cut."""

    utterances: np.ndarray  # int64 [n], the replica's subset
    epochs: float
    seed: int
    stream: int = 0  # the number of the replica: other replicas have other permutations

    def __len__(self) -> int:
        return round(self.epochs * len(self.utterances))

    def start(self, first: int = 0) -> Iterator[int]:
        """Yield the utterances from the stream's ``first`` on."""
        for block in self.epoch_blocks(first):
            yield from block.tolist()

    def epoch_blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield the same in int64 arrays, one for each epoch."""
        size = len(self.utterances)
        if not size:
            return

        end = len(self)
        for epoch in range(first // size, -(-end // size)):
            order = rng(self.seed, "utterances", self.stream, epoch).permutation(size)
            skipped = max(0, first - epoch * size)
            yield self.utterances[order][skipped : end - epoch * size]


@dataclass(frozen=True, eq=False)
class FrameOrder:
    """A stream of batches of frames in the order that ``shuffling`` makes."""

    shuffling: str  # a name of `shufflings`
    offsets: np.ndarray  # int64 [utterances of the store + 1]
    utterances: np.ndarray  # int64 [n], the replica's subset
    batch: int  # frames; with on-the-fly shuffling also the number of slots
    epochs: float
    seed: int
    stream: int = 0  # the number of the replica
    slot_start: str = "together"  # or "apart", see `slot_ranges`

    def batches(self, first: int = 0) -> Iterator[np.ndarray]:
        """Yield positions in the frame store, int64 [<= batch], from batch ``first`` on.

        Raises UserError if a shuffling that a user added makes something else.
        """
        made = shufflings[self.shuffling](self, first)
        if self.shuffling in added_choices("shuffling"):
            return checked_batches(self, made, first)
        return made

    def utterance_blocks(self) -> Iterator[np.ndarray]:
        """Yield the stream's utterances in blocks, int64 [<= BLOCK], each of one epoch."""
        order = UtteranceOrder(self.utterances, self.epochs, self.seed, self.stream)
        for epoch in order.epoch_blocks():
            for start in range(0, len(epoch), BLOCK):
                yield epoch[start : start + BLOCK]

    def utterance_frames(self) -> Iterator[np.ndarray]:
        """Yield the positions of the frames of one utterance after another, int64 [frames]."""
        for block in self.utterance_blocks():
            for utterance in block.tolist():
                yield np.arange(self.offsets[utterance], self.offsets[utterance + 1])

    def cut_batches(self, arrays: Iterator[np.ndarray], first: int) -> Iterator[np.ndarray]:
        """Cut the concatenated ``arrays`` into batches, leaving out the first ``first`` of them."""
        to_skip = first * self.batch
        rest = np.empty(0, np.int64)
        for array in arrays:
            if np.ndim(array) != 1:
                raise UserError(
                    f"shuffling={self.shuffling}: cut_batches takes arrays [frames], "
                    f"not of shape {np.shape(array)}"
                )
            skipped = min(to_skip, len(array))
            to_skip -= skipped
            frames = np.concatenate([rest, array[skipped:]])

            whole = len(frames) - len(frames) % self.batch
            yield from frames[:whole].reshape(-1, self.batch)
            rest = frames[whole:].copy()

        if len(rest):
            yield rest


def unshuffled(order: FrameOrder, first: int) -> Iterator[np.ndarray]:
    """Yield consecutive frames, one utterance after another."""
    blocks = (frame_positions(order.offsets, block) for block in order.utterance_blocks())
    return order.cut_batches(blocks, first)


def fully_shuffled(order: FrameOrder, first: int) -> Iterator[np.ndarray]:
    """Yield random permutations of all frames of the subset, one for each epoch."""
    return order.cut_batches(permuted_epochs(order), first)


def permuted_epochs(order: FrameOrder) -> Iterator[np.ndarray]:
    """Yield one permutation of all frames for each epoch, the last one perhaps cut."""
    frames = frame_positions(order.offsets, order.utterances)
    left = round(order.epochs * len(frames))
    epoch = 0
    while left > 0:
        yield rng(order.seed, "frames", order.stream, epoch).permutation(frames)[:left]
        left -= len(frames)
        epoch += 1


def checked_batches(order: FrameOrder, made: object, first: int) -> Iterator[np.ndarray]:
    """Yield the batches that a user's shuffling has made; UserError at one that cannot be used."""
    if not isinstance(made, Iterable):
        raise UserError(f"shuffling={order.shuffling}: the function must yield batches")

    number = first
    for batch in made:
        check_batch(order, number, batch)
        yield batch
        number += 1

    if number == 0 and len(order.utterances):
        raise UserError(f"shuffling={order.shuffling}: the function yields no batch")


def check_batch(order: FrameOrder, number: int, batch: object) -> None:
    """Raise UserError if this is not an array of the numbers of frames."""
    where = f"shuffling={order.shuffling}: batch {number}"
    if not isinstance(batch, np.ndarray) or batch.ndim != 1 or batch.dtype.kind not in "iu":
        kind = (
            f"{batch.dtype} {batch.shape}"
            if isinstance(batch, np.ndarray)
            else type(batch).__name__
        )
        raise UserError(f"{where} must be an array of whole numbers, [frames], not {kind}")
    if not len(batch):
        raise UserError(f"{where} has no frames; leave it out")

    last = int(order.offsets[-1]) - 1
    if batch.min() < 0 or batch.max() > last:
        raise UserError(
            f"{where} has frame {batch.min()} to {batch.max()}, but there are 0 to {last}"
        )


def check_entry(order: FrameOrder) -> None:
    """Raise UserError if an order has other batches when it is entered later.

    Each checkpoint enters the order at the batch that comes next. One that began from the start
    there would train on the same frames again and again.
    """
    begun = list(itertools.islice(order.batches(), 2))
    if len(begun) < 2:
        return

    entered = next(order.batches(first=1), None)
    if entered is not None and np.array_equal(entered, begun[1]):
        return
    if entered is not None and np.array_equal(entered, begun[0]):
        what = "the function ignores `first`: asked for batch 1 it yields batch 0"
    else:
        what = "asked for batch 1 the function yields another than it does after batch 0"
    raise UserError(
        f"shuffling={order.shuffling}: {what}; leave out the first `first` batches, as "
        "order.cut_batches(frames, first) does, and draw from rng(order.seed, ...) alone"
    )


class FrameRange(NamedTuple):
    """Successive frames of an utterance, ``first`` to ``until - 1`` of the frame store."""

    first: int
    until: int


class SlotPlacement(NamedTuple):
    """Frames in a slot: batch ``start`` takes frame ``first``, the next batch the next one."""

    start: int
    slot: int
    first: int
    length: int


def shuffled_on_the_fly(order: FrameOrder, first: int) -> Iterator[np.ndarray]:
    """Yield batches of one frame from each slot; an utterance goes to the slot that is free first.

    The frames of a batch are in the order of the slots.
    """
    # A heap of the first batch that a slot is free for, and the slot.
    free = [(0, slot) for slot in range(order.batch)]
    placed: list[SlotPlacement] = []  # the frames that reach into batches not yielded yet
    now = first

    for ranges in slot_ranges(order):
        for begin, until in ranges:
            start, slot = free[0]
            placed.append(SlotPlacement(start, slot, begin, until - begin))
            heapq.heapreplace(free, (start + until - begin, slot))

        complete = free[0][0]  # earlier batches have a frame in every slot
        yield from lay_out(order, placed, now, complete)
        now = max(now, complete)
        placed = [p for p in placed if p.start + p.length > now]

    yield from lay_out(order, placed, now, max(end for end, _ in free))


def slot_ranges(order: FrameOrder) -> Iterator[list[FrameRange]]:
    """Yield the frames that go into slots, in blocks; each range is one utterance or a part of one.

    Slots that start together begin with the silence before speech, all at once, and stay nearly in
    step for as long as it takes the lengths of utterances to part them. Slots that start apart each
    begin at a random frame of their first utterance. What comes before it is visited last of all.
    """
    cuts: Iterator[float] = iter(())
    if order.slot_start == "apart":
        cuts = iter(rng(order.seed, "slots", order.stream).random(order.batch).tolist())

    beginnings: list[FrameRange] = []
    for block in order.utterance_blocks():
        firsts = order.offsets[block].tolist()
        untils = order.offsets[block + 1].tolist()
        ranges = []
        for first, until in zip(firsts, untils, strict=True):
            middle = first + int(next(cuts, 0.0) * (until - first))
            if middle > first:
                beginnings.append(FrameRange(first, middle))
            ranges.append(FrameRange(middle, until))
        yield ranges

    if beginnings:
        yield beginnings


def lay_out(
    order: FrameOrder, placed: list[SlotPlacement], first: int, until: int
) -> Iterator[np.ndarray]:
    """Yield the batches ``first`` to ``until - 1`` of what was placed, except empty ones."""
    if until <= first or not placed:
        return

    start, slot, frame, length = np.array(placed, np.int64).T
    begin = np.maximum(start, first)
    end = np.minimum(start + length, until)
    count = np.maximum(end - begin, 0)

    table = np.full((until - first, order.batch), -1, np.int64)
    rows = concatenate_ranges(begin - first, count)
    table[rows, np.repeat(slot, count)] = concatenate_ranges(frame + begin - start, count)

    full = np.asarray((table >= 0).all(axis=1), bool)
    for row, is_full in zip(table, full.tolist(), strict=True):
        batch = row if is_full else row[row >= 0]
        if len(batch):
            yield batch


def frame_positions(offsets: np.ndarray, utterances: np.ndarray) -> np.ndarray:
    """Return all frames of ``utterances``, one after another: int64."""
    return concatenate_ranges(offsets[utterances], offsets[utterances + 1] - offsets[utterances])


def concatenate_ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return ``count[i]`` numbers from ``first[i]`` on, one range after another."""
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(int(count.sum()), dtype=np.int64)


# How the frames of cross entropy meet in batches. Each takes the order and the number of the first
# batch that is wanted, and yields the positions of the frames of each batch from there on.
Shuffling = Callable[[FrameOrder, int], Iterator[np.ndarray]]
shufflings: Alternatives[Shuffling] = Alternatives(
    "shuffling", none=unshuffled, on_the_fly=shuffled_on_the_fly, full=fully_shuffled
)
