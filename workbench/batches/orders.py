"""The order in which one replica visits its frames, or its decoder visits its utterances (method: paper section 3.1,
Fig. 2).

All passes over the data make one stream: a batch may hold the last frames of one epoch and the first of the next, so
every batch is full until the stream ends (on-the-fly: until the remaining slots drain, one after another). So the
three ways of shuffling make the same number of updates per frame. Batch ``n`` is a pure function of the order's
fields and ``n``: to resume, ask for ``batches(first=n)``.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.settings import rng

BLOCK = 2048  # utterances whose frames are laid out at once: bounds memory, not the result


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Frames to train on with targets known beforehand."""

    positions: np.ndarray  # int64 [frames], numbers of frames in the frame store

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class UtteranceOrder:
    """A stream of utterances: ``epochs`` random permutations of the subset, the last one perhaps cut."""

    utterances: np.ndarray  # int64 [n], the replica's subset
    epochs: float
    seed: int
    stream: int = 0  # the number of the replica: other replicas have other permutations

    def __len__(self) -> int:
        return round(self.epochs * len(self.utterances))

    def start(self, first: int = 0) -> Iterator[int]:
        """The utterances from the stream's ``first`` on."""
        for block in self.blocks(first):
            yield from block.tolist()

    def blocks(self, first: int = 0) -> Iterator[np.ndarray]:
        """The same, in int64 arrays of at most one epoch."""
        n, end = len(self.utterances), len(self)
        for epoch in range(first // n if n else 0, -(-end // n) if n else 0):
            block = self.utterances[rng(self.seed, "utterances", self.stream, epoch).permutation(n)]
            yield block[max(0, first - epoch * n) : end - epoch * n]


@dataclass(frozen=True, eq=False)
class FrameOrder:
    """A stream of batches of frames; see the head of this module."""

    shuffling: str  # none | on-the-fly | full
    offsets: np.ndarray  # int64 [utterances of the store + 1]
    utterances: np.ndarray  # int64 [n], the replica's subset
    batch: int  # frames; for on-the-fly also the number of slots
    epochs: float
    seed: int
    stream: int = 0

    def batches(self, first: int = 0) -> Iterator[np.ndarray]:
        """Positions in the frame store, int64 [<= batch], from the stream's batch ``first`` on."""
        if self.shuffling == "on-the-fly":
            return self._slots(first)
        if self.shuffling == "none":
            return self._cut(self._consecutive(), first)
        if self.shuffling == "full":
            return self._cut(self._permuted(), first)
        raise ValueError(f"shuffling={self.shuffling!r}")

    def _order(self) -> UtteranceOrder:
        return UtteranceOrder(self.utterances, self.epochs, self.seed, self.stream)

    def _consecutive(self) -> Iterator[np.ndarray]:
        for order in self._order().blocks():
            for at in range(0, len(order), BLOCK):
                yield positions(self.offsets, order[at : at + BLOCK])

    def _permuted(self) -> Iterator[np.ndarray]:
        every = positions(self.offsets, self.utterances)
        left, epoch = round(self.epochs * len(every)), 0
        while left > 0 and len(every):
            yield rng(self.seed, "frames", self.stream, epoch).permutation(every)[:left]
            left, epoch = left - len(every), epoch + 1

    def _cut(self, blocks: Iterator[np.ndarray], first: int) -> Iterator[np.ndarray]:
        """Cut the concatenated ``blocks`` into batches, leaving out the first ``first``."""
        skip, rest = first * self.batch, np.empty(0, np.int64)
        for block in blocks:
            dropped = min(skip, len(block))
            skip, block = skip - dropped, np.concatenate([rest, block[dropped:]])
            whole = len(block) - len(block) % self.batch
            yield from block[:whole].reshape(-1, self.batch)
            rest = block[whole:].copy()
        if len(rest):
            yield rest

    def _slots(self, first: int) -> Iterator[np.ndarray]:
        """An utterance goes to the slot that is free first; batch ``t`` takes the frame that each slot is at."""
        free = [
            (0, slot) for slot in range(self.batch)
        ]  # a heap of (batch from which on the slot is free, slot)
        running: list[
            tuple[int, int, int]
        ] = []  # (first batch, slot, utterance) of what may reach beyond the last block
        length, now = np.diff(self.offsets), first
        for order in self._order().blocks():
            for at in range(0, len(order), BLOCK):
                for utterance in order[at : at + BLOCK].tolist():
                    start, slot = free[0]
                    running.append((start, slot, utterance))
                    heapq.heapreplace(free, (start + int(length[utterance]), slot))
                until = free[0][0]  # in earlier batches nothing more can change
                yield from self._lay(running, now, until)
                now = max(now, until)
                running = [r for r in running if r[0] + length[r[2]] > now]
        yield from self._lay(running, now, max(end for end, _ in free))

    def _lay(
        self, running: list[tuple[int, int, int]], first: int, until: int
    ) -> Iterator[np.ndarray]:
        """Batches ``first``..``until``-1 made of the ``running`` utterances, rows in the order of the slots."""
        if until <= first or not running:
            return
        start, slot, utterance = np.array(running, np.int64).T
        begin = np.maximum(start, first)
        count = (
            np.minimum(start + self.offsets[utterance + 1] - self.offsets[utterance], until) - begin
        )
        count = np.maximum(count, 0)
        table = np.full((until - first, self.batch), -1, np.int64)
        step = ramps(begin - first, count)
        table[step, np.repeat(slot, count)] = ramps(self.offsets[utterance] + begin - start, count)
        full = (table >= 0).all(1)
        for row, whole in zip(table, full.tolist(), strict=True):
            row = row if whole else row[row >= 0]
            if len(row):
                yield row


def positions(offsets: np.ndarray, utterances: np.ndarray) -> np.ndarray:
    """All frames of ``utterances``, one after another, int64."""
    return ramps(offsets[utterances], offsets[utterances + 1] - offsets[utterances])


def ramps(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``first[i], first[i] + 1, ...``, ``count[i]`` numbers of each, concatenated."""
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(int(count.sum()), dtype=np.int64)
