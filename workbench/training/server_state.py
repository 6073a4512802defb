"""What a shard of the parameter server needs to go on."""

from dataclasses import dataclass

import numpy as np

from workbench.training.messages import Snapshot


@dataclass(frozen=True, eq=False)
class Deposit:
    """Gradients of a synchronous update that is not complete."""

    total: np.ndarray | None = None  # float32, sum of frames x mean gradient
    weight: int = 0  # frames
    replicas: tuple[str, ...] = ()  # who has pushed


@dataclass(frozen=True, eq=False)
class ServerState:
    """Everything that a shard needs to go on."""

    value: np.ndarray
    version: int = 0
    frames: int = 0  # of the corpus, visited by all replicas
    settled: tuple = ((), ())  # Ledger.state()
    memory: np.ndarray | None = None  # of the optimizer
    decays: int = 0
    ended: bool = False
    left: tuple[tuple[str, int], ...] = ()  # replicas that push no more, and from which version on
    deposit: Deposit = Deposit()
    instant: int = -1
    frozen: Snapshot | None = None  # what was current at that instant
    given: tuple[
        tuple[str, Snapshot], ...
    ] = ()  # last fetched by each replica, for delay compensation
    rejected: int = 0  # in a row
