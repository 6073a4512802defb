"""Slots of decoded utterances: a batch takes one kept frame from each (paper Fig. 2, with frame cancellation of
section 2).

Rules: a decoded utterance goes to the first free slot and stays until its kept frames are used up; utterances without
kept frames are not loaded but counted; when no more utterances come, the remaining slots drain, so the last batches
are smaller. With ``consecutive`` (shuffling=none) there is one queue, and a batch takes the next kept frames,
utterance after utterance.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Loaded:
    """A decoded utterance, ``source.decoded``, in a slot, and how many of its kept frames are used."""

    source: Any
    used: int


@dataclass(frozen=True, eq=False)
class OuterBatch:
    """Frames to train on with outer gradients: row i is Σ_j values[j] e_states[j], indptr[i] <= j < indptr[i+1]."""

    utterance: np.ndarray  # int64 [frames]
    frame: np.ndarray  # int64 [frames], counted inside the utterance
    indptr: np.ndarray  # int64 [frames + 1]
    states: np.ndarray  # int32 [entries]
    values: np.ndarray  # float32 [entries]
    targets: np.ndarray  # int32 [frames], numerator states
    sources: tuple  # [frames], where each row came from, for its versions and age

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of(cls, taken: list[tuple[Any, int, int]]) -> "OuterBatch":
        """The rows ``first``..``until``-1 of every (source, first, until); none at all is an empty batch."""
        utterance: list[int] = []
        frame: list[int] = []
        targets: list[int] = []
        indptr, sources = [0], []
        states, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        for (
            source,
            first,
            until,
        ) in taken:  # Python integers: most pieces are one row, too small for arrays
            d = source.decoded
            kept, bounds = d.kept[first:until].tolist(), d.indptr[first : until + 1].tolist()
            utterance += [d.utterance] * len(kept)
            frame += kept
            targets += [d.numerator_states.item(t) for t in kept]
            sources += [source] * len(kept)
            shift = indptr[-1] - bounds[0]
            indptr += [bound + shift for bound in bounds[1:]]
            states.append(d.states[bounds[0] : bounds[-1]])
            values.append(d.values[bounds[0] : bounds[-1]])
        return cls(
            np.array(utterance, np.int64),
            np.array(frame, np.int64),
            np.array(indptr, np.int64),
            np.concatenate(states),
            np.concatenate(values),
            np.array(targets, np.int32),
            tuple(sources),
        )


class Slots:
    """``count`` slots; ``load`` while ``wanting``, then ``next``."""

    def __init__(
        self,
        count: int,
        consecutive: bool = False,
        loaded: tuple[Loaded | None, ...] = (),
        skipped: int = 0,
    ):
        self.count, self.consecutive, self.skipped = count, consecutive, skipped
        empty = () if consecutive else (None,) * (count - len(loaded))
        self.loaded: list[Loaded | None] = [*loaded, *empty]

    @property
    def wanting(self) -> bool:
        """Whether a full batch needs another utterance first."""
        if self.consecutive:
            return sum(len(x.source.decoded.kept) - x.used for x in self.loaded if x) < self.count
        return None in self.loaded

    @property
    def empty(self) -> bool:
        return not any(self.loaded)

    def state(self) -> tuple[Loaded | None, ...]:
        """What the slots hold, to go on from with ``Slots(count, consecutive, state, skipped)``."""
        return tuple(self.loaded)

    def load(self, source: Any) -> bool:
        """Put a decoded utterance into the first free slot; False, and nothing loaded, if it has no kept frame."""
        if not len(source.decoded.kept):
            self.skipped += 1
            return False
        if self.consecutive:
            self.loaded.append(Loaded(source, 0))
        else:
            self.loaded[self.loaded.index(None)] = Loaded(source, 0)
        return True

    def next(self) -> OuterBatch:
        """The next batch: one kept frame from each slot that holds an utterance, in the order of the slots."""
        taken: list[tuple[Any, int, int]] = []  # source, first and last + 1 of its kept frames
        room = self.count
        for slot, x in enumerate(self.loaded):
            if x is None or not room:
                continue
            until = min(len(x.source.decoded.kept), x.used + (room if self.consecutive else 1))
            taken.append((x.source, x.used, until))
            room -= until - x.used
            self.loaded[slot] = (
                Loaded(x.source, until) if until < len(x.source.decoded.kept) else None
            )
        if self.consecutive:
            self.loaded = [x for x in self.loaded if x is not None]
        return OuterBatch.of(taken)
