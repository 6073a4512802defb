"""Messages between replicas, decoders, evaluator and parameter server.

The calls to a shard of the parameter server are classes, each with the type of its reply. A message
is never written to after it was made.
"""

from collections.abc import Callable, Sequence
from dataclasses import field
from enum import Enum
from typing import ClassVar, Protocol

import numpy as np

from workbench.engine.effects import Call
from workbench.sequence.decoded import Decoded
from workbench.storage.rows import Drift
from workbench.system.unchanging import unchanging
from workbench.system.vectors import DeviceVector, Vector


class Factored(Protocol):
    """A gradient as factors: smaller than the parameters, and added to them in one pass."""

    @property
    def nbytes(self) -> int: ...

    def cut(self, bounds: Sequence[int]) -> "Sequence[np.ndarray | Factored]":
        """Return the gradients of the parts of the vector between ``bounds``."""

    def array(self) -> np.ndarray:
        """Return the gradient itself, float32 [parameters]."""

    def finite(self) -> bool:
        """Return whether all numbers of the gradient are finite."""

    def is_below(self, limit: float) -> bool:
        """Return whether no number of the gradient is beyond ``limit``; NaN is."""

    def write_moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> None:
        """Write ``theta + rate * gradient`` to ``out``."""


AnyGradient = np.ndarray | DeviceVector | Factored
Decode = Callable[[Vector, int], Decoded]  # (parameters, utterance) -> its outer gradient


@unchanging(eq=False)
class Gradient:
    """The inner gradient of one batch."""

    value: AnyGradient  # float32 [trained parameters], summed over the frames, uphill
    frames: int
    sums: dict[str, float] = field(default_factory=dict)
    """Criterion, errors, ... summed over the frames; these are copied into the row of the push."""


@unchanging(eq=False)
class FetchedParameters:
    """A component's copy of all parameters, joined from one fetch of every shard."""

    theta: Vector  # float32 [parameters]
    versions: tuple[int, ...]  # one per shard; they may differ
    seconds: float  # time at which they were current; the way to the component comes after it
    ended: bool = False  # training has ended


@unchanging(eq=False)
class DriftOrigin:
    """From where drift is measured: the decoder's parameters, and the frame at which to do it."""

    theta: Vector  # float32 [parameters]
    frame: int  # one of those that the decoder kept


@unchanging(eq=False)
class DecodedUtterance:
    """A decoded utterance on its way to the replica, with the age of the decoder's parameters."""

    decoded: Decoded
    versions: tuple[int, ...]  # of the parameters that it was decoded with, one per shard
    seconds: float  # time at which these were current
    origin: DriftOrigin | None = None  # only if drift is measured on this utterance


MeasureDrift = Callable[[Vector, DecodedUtterance], Drift | None]
"""(a replica's parameters, an utterance with an origin) -> how far they are from the decoder's."""


# --- replies of a shard


@unchanging(eq=False)
class Snapshot:
    """The parameters of one shard as they were published once."""

    version: int  # updates applied so far
    value: Vector  # [parameters of the shard], float32, or uint16 where wire=bfloat16
    ended: bool = False  # training has ended: decode and push no more
    seconds: float = 0.0
    """Time at which the push that led to them was sent; of a common fetch, that of the fetch."""


class PushStatus(Enum):
    """What became of a push."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # its item had been settled before; nothing changed
    STALE = "stale"  # older than the bound; to be computed again from new parameters
    LATE = "late"  # its synchronous update had not waited for it; dropped for good
    REJECTED = "rejected"  # without a gradient that can be used (see `Moved`); dropped for good
    ENDED = "ended"  # training has ended; nothing changed


@unchanging()
class Ack:
    """The reply to a push."""

    status: PushStatus
    version: int  # of the shard before this push
    ended: bool = False


@unchanging()
class TrainingProgress:
    """The progress of training as one shard knows it."""

    version: int
    frames: int  # of the corpus, visited by all replicas
    over: bool  # no more frames will be visited


# --- calls to a shard


@unchanging()
class Fetch(Call[Snapshot]):
    """Ask for the current parameters; ``replica`` names the replica that will push with them."""

    replica: str = ""


@unchanging()
class FetchNext(Call[Snapshot]):
    """Ask for the parameters once they are at ``version`` or beyond, or training has ended."""

    replica: str
    version: int


@unchanging()
class FetchAt(Call[Snapshot | None]):
    """Ask for the parameters of exactly ``version``; the reply is None if they are not kept."""

    replica: str
    version: int


@unchanging()
class FetchInstant(Call[Snapshot]):
    """Ask for the parameters of the ``instant``-th common fetch of all decoders."""

    instant: int
    seconds: float  # time at which this caller asks; the first caller's is that of the fetch


@unchanging()
class Item:
    """The name of an update; it does not depend on who computes it or how often it is sent."""

    subset: int  # of the data, one per replica
    step: int  # number of the push among those of this subset


@unchanging(eq=False)
class Push(Call[Ack]):
    """A gradient for one shard."""

    checked: ClassVar[bool] = True

    item: Item
    gradient: AnyGradient | None
    """float32 [parameters of the shard], summed over the batch, uphill; None: there is none."""
    version: int  # of the shard's parameters that it was computed from
    replica: str
    frames: int = 0  # of the corpus, visited since the last push; epochs are counted in these
    weight: int = 1  # frames that the mean is over
    seconds: float = 0.0  # time at which it was sent
    scale: float = 1.0
    """Factor that makes the sum the mean, or a shorter one; NaN: the gradient was not finite."""
    order: int | None = None
    """For shards that follow the first one: the version at which the first one applied the push."""


@unchanging()
class AwaitFrames(Call[TrainingProgress]):
    """Wait until ``frames`` frames of the corpus have been visited, or no more will be."""

    frames: int


@unchanging()
class Decay(Call[None]):
    """Report that the learning rate has fallen ``times`` times since the start."""

    times: int


@unchanging()
class EndTraining(Call[None]):
    """End training: every later fetch and push says so, and no parameters change any more."""


@unchanging()
class Leave(Call[int]):
    """Report that ``replica`` will push no more, after ``frames`` frames since its last push.

    The reply is the version from which on updates do not wait for the replica. The first shard
    chooses it; where shards must agree, the others are given it as ``version``.
    """

    replica: str
    frames: int = 0
    version: int | None = None
