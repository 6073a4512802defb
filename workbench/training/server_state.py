"""The state of a shard of the parameter server, as a checkpoint keeps it."""

from dataclasses import dataclass

import numpy as np

from workbench.training.ledger import NOTHING_SETTLED, LedgerState
from workbench.training.messages import Snapshot


@dataclass(frozen=True, eq=False)
class Deposit:
    """The gradients of a synchronous update that is not complete."""

    total: np.ndarray | None = None  # float32, sum of frames x mean gradient
    weight: int = 0  # frames
    replicas: tuple[str, ...] = ()  # those that have pushed


@dataclass(frozen=True, eq=False)
class ServerState:
    """Everything from which a shard can be made again."""

    value: np.ndarray  # float32 [parameters of the shard]
    version: int = 0
    frames: int = 0  # of the corpus, visited by all replicas
    settled: LedgerState = NOTHING_SETTLED
    memory: np.ndarray | None = None  # of the optimizer
    decays: int = 0
    ended: bool = False
    left: tuple[tuple[str, int], ...] = ()  # replicas that push no more, and from which version on
    deposit: Deposit = Deposit()
    instant: int = -1  # of the newest common fetch of the decoders
    frozen: Snapshot | None = None  # the parameters that were current at that instant
    given: tuple[tuple[str, Snapshot], ...] = ()
    """The snapshot that each replica fetched last, for delay compensation."""
    rejected: int = 0  # in a row
    halvings: int = 0  # of the learning rate, after divergences
