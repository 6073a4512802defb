"""What crosses between replicas, decoders and the parameter server; never written to after it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np


class Factored(Protocol):
    """A gradient that is not multiplied yet: smaller than the parameters, and added to them in one pass."""

    @property
    def nbytes(self) -> int: ...

    def cut(self, bounds: Sequence[int]) -> Sequence["np.ndarray | Factored"]:
        """The gradients of the parts of the vector between ``bounds``."""

    def array(self) -> np.ndarray:
        """The gradient itself, float32 [parameters]."""

    def finite(self) -> bool:
        """Whether all its numbers are finite."""

    def moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> bool:
        """Write ``theta + rate * gradient`` to ``out``; whether the gradient is finite."""


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of work by which an update is known, whoever computes it and however often it is sent."""

    subset: int  # of the data, one per replica
    step: int  # the number of the push among those of this subset


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One shard's parameters as published once; never written to afterwards."""

    version: int  # updates applied so far
    value: np.ndarray  # float32 [parameters of the shard]
    ended: bool = False  # training has ended: decode and push no more


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """A gradient for one shard."""

    item: Item
    gradient: np.ndarray | Factored | None
    """float32 [parameters of the shard], summed over the batch, uphill; None: nothing could be used"""
    version: int  # of the shard's parameters that it was computed from
    replica: str
    frames: int = (
        0  # of the corpus that were visited since the last push: what epochs are counted in
    )
    weight: int = 1  # frames that the mean is over
    scale: float = (
        1.0  # what makes the sum the mean, or a shorter one; NaN: the gradient was not finite
    )
    order: int | None = (
        None  # to a shard that follows the first one: the version at which that one applied it
    )


class Status(Enum):
    """What became of a push."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # its item was settled before; nothing changed
    STALE = "stale"  # older than the bound; to be computed again from new parameters
    LATE = "late"  # of a synchronous update that did not wait for it; dropped for good
    REJECTED = "rejected"  # not finite, or None; dropped for good
    ENDED = "ended"  # training has ended; nothing changed


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to a push."""

    status: Status
    version: int  # of the shard before this push
    ended: bool = False


@dataclass(frozen=True)
class Progress:
    """How far training is, for who waits for it."""

    version: int
    frames: int
    over: bool  # nothing more will come


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """A replica's or decoder's own copy of all parameters, joined from one fetch of every shard."""

    theta: np.ndarray  # float32 [parameters]
    versions: tuple[int, ...]  # by shard; they may differ
    seconds: float  # when it was fetched
    ended: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    """A decoded utterance on its way to the replica, with the age of the parameters that it was decoded with."""

    decoded: Any  # workbench.sequence's Decoded: utterance, frames, kept, indptr, states, values, numerator_states, ...
    versions: tuple[int, ...]
    seconds: float  # when these parameters were fetched


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """The inner gradient of one batch."""

    value: np.ndarray | Factored  # float32 [trained parameters], the sum over frames, uphill
    frames: int
    sums: dict[str, float] = field(
        default_factory=dict
    )  # criterion, errors, ...: summed over frames, copied into the row
