"""Slots of decoded utterances: a batch takes one kept frame from each (paper, Fig. 2, section 2).

A decoded utterance goes to the first free slot and stays until its kept frames are used up.
Utterances without kept frames are counted and not loaded. When no more utterances come, the
remaining slots drain, so the last batches are smaller. With ``consecutive`` (shuffling=none) there
is one queue, and a batch takes the next kept frames, utterance after utterance.
"""

from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from workbench.system.unchanging import unchanging


class KeptFrames(Protocol):
    """What is read of a decoded utterance: its kept frames and their outer gradients."""

    @property
    def utterance(self) -> int: ...

    @property
    def kept(self) -> np.ndarray: ...

    @property
    def indptr(self) -> np.ndarray: ...

    @property
    def states(self) -> np.ndarray: ...

    @property
    def values(self) -> np.ndarray: ...

    @property
    def numerator_states(self) -> np.ndarray: ...


class DecodedSource(Protocol):
    """A decoded utterance and whatever its owner knows of it."""

    @property
    def decoded(self) -> KeptFrames: ...


S = TypeVar("S", bound=DecodedSource)

NO_STATES = np.empty(0, np.int32)
NO_VALUES = np.empty(0, np.float32)


@unchanging(eq=False)
class Loaded(Generic[S]):
    """A decoded utterance, ``source.decoded``, in a slot; ``used`` of its kept frames are used."""

    source: S
    used: int

    @property
    def left(self) -> int:
        """How many kept frames are not used yet."""
        return len(self.source.decoded.kept) - self.used


class Piece(NamedTuple, Generic[S]):
    """The kept frames ``first`` to ``until - 1`` of a decoded utterance."""

    source: S
    first: int
    until: int


@unchanging(eq=False)
class OuterBatch(Generic[S]):
    """Frames to train on with outer gradients.

    Row i is Σ_j values[j] e_states[j] over indptr[i] <= j < indptr[i + 1].
    """

    utterance: np.ndarray  # int64 [frames]
    frame: np.ndarray  # int64 [frames], counted inside the utterance
    indptr: np.ndarray  # int64 [frames + 1]
    states: np.ndarray  # int32 [entries]
    values: np.ndarray  # float32 [entries]
    targets: np.ndarray  # int32 [frames], numerator states
    sources: tuple[S, ...]  # [frames], where each row came from, for its versions and age

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def of(cls, pieces: list[Piece[S]]) -> "OuterBatch[S]":
        """Return the rows of all pieces, one after another; without pieces an empty batch."""
        utterance: list[int] = []
        frame: list[int] = []
        targets: list[int] = []
        sources: list[S] = []
        indptr = [0]
        states = [NO_STATES]
        values = [NO_VALUES]

        # Row by row in Python's integers: most pieces are one row, too small for arrays.
        for source, first, until in pieces:
            decoded = source.decoded
            start = decoded.indptr.item(first)
            stop = decoded.indptr.item(until)
            shift = indptr[-1] - start
            for row in range(first, until):
                kept = decoded.kept.item(row)
                utterance.append(decoded.utterance)
                frame.append(kept)
                targets.append(decoded.numerator_states.item(kept))
                sources.append(source)
                indptr.append(decoded.indptr.item(row + 1) + shift)

            states.append(decoded.states[start:stop])
            values.append(decoded.values[start:stop])

        return cls(
            utterance=np.array(utterance, np.int64),
            frame=np.array(frame, np.int64),
            indptr=np.array(indptr, np.int64),
            states=np.concatenate(states),
            values=np.concatenate(values),
            targets=np.array(targets, np.int32),
            sources=tuple(sources),
        )


class Slots(Generic[S]):
    """``count`` slots: call ``load`` while ``wanting``, then ``next``."""

    def __init__(
        self,
        count: int,
        consecutive: bool = False,
        loaded: tuple[Loaded[S] | None, ...] = (),
        skipped: int = 0,
    ):
        self.count = count
        self.consecutive = consecutive
        self.skipped = skipped  # utterances without kept frames
        empty = () if consecutive else (None,) * (count - len(loaded))
        self.loaded: list[Loaded[S] | None] = [*loaded, *empty]

    @property
    def wanting(self) -> bool:
        """Whether a full batch needs another utterance first."""
        if self.consecutive:
            return sum(loaded.left for loaded in self.loaded if loaded) < self.count
        return None in self.loaded

    @property
    def empty(self) -> bool:
        """Whether no slot holds an utterance."""
        return not any(self.loaded)

    @property
    def occupied(self) -> int:
        """How many slots hold an utterance."""
        return sum(loaded is not None for loaded in self.loaded)

    def state(self) -> tuple[Loaded[S] | None, ...]:
        """Return what the slots hold, to be given to `Slots` as ``loaded``."""
        return tuple(self.loaded)

    def load(self, source: S, cut: float = 0.0) -> bool:
        """Put a decoded utterance into the first free slot; False if it has no kept frame.

        ``cut``: the share of its kept frames that is left out at its beginning, below 1.
        """
        kept = len(source.decoded.kept)
        if not kept:
            self.skipped += 1
            return False

        loaded = Loaded(source, int(cut * kept))
        if self.consecutive:
            self.loaded.append(loaded)
        else:
            self.loaded[self.loaded.index(None)] = loaded
        return True

    def next(self) -> OuterBatch[S]:
        """Return the next batch: one kept frame from each slot that holds an utterance."""
        pieces: list[Piece[S]] = []
        room = self.count
        for slot, loaded in enumerate(self.loaded):
            if loaded is None or not room:
                continue
            source = loaded.source
            first = loaded.used
            kept = len(source.decoded.kept)
            until = min(kept, first + room) if self.consecutive else first + 1
            pieces.append(Piece(source, first, until))
            room -= until - first
            self.loaded[slot] = Loaded(source, until) if until < kept else None

        if self.consecutive:
            self.loaded = [loaded for loaded in self.loaded if loaded is not None]
        return OuterBatch.of(pieces)
