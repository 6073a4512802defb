"""Tied states: which of them a phone in its context is made of, and how long they last.

Every phone is a chain of three states passed from left to right, each with a self loop. Tying is one dense table, so
that graphs and alignments can be made by indexing, whatever tree (or none) filled it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

SIL = 0
POSITIONS = 3


@dataclass(frozen=True)
class TiedStates:
    """The tied state of (left phone, phone, right phone, position), and each state's probability of staying.

    ``table``: int32 [phones, phones, phones, 3]; ``self_loop``: float32 [count], natural log, negative. Outside an
    utterance, and across silence, the context is SIL; SIL itself has no context. Raises ValueError if inconsistent.
    """

    phones: tuple[str, ...]
    table: np.ndarray
    self_loop: np.ndarray

    def __post_init__(self):
        n = len(self.phones)
        object.__setattr__(self, "table", np.ascontiguousarray(self.table, np.int32))
        object.__setattr__(self, "self_loop", np.ascontiguousarray(self.self_loop, np.float32))
        if self.table.shape != (n, n, n, POSITIONS):
            raise ValueError(f"table of {n} phones has shape {self.table.shape}")
        if self.table.min() < 0 or not np.bincount(self.table.ravel(), minlength=self.count).all():
            raise ValueError("a tied state that no phone uses, or a negative one")
        if self.table.max() >= self.count:
            raise ValueError(f"tied state {self.table.max()} of {self.count}")
        if (self.table[:, SIL] != self.table[SIL, SIL, SIL]).any():
            raise ValueError("silence depends on its context")
        if not (np.isfinite(self.self_loop) & (self.self_loop < 0)).all():
            raise ValueError("self loops must be log probabilities below 0")

    @property
    def count(self) -> int:
        """Tied states, the outputs of a network."""
        return len(self.self_loop)

    @cached_property
    def leave(self) -> np.ndarray:
        """Log probability of leaving a state: float32 [count], log(1 - exp(self_loop))."""
        return np.log1p(-np.exp(self.self_loop.astype(np.float64))).astype(np.float32)

    @cached_property
    def silence(self) -> np.ndarray:
        """The states of SIL, ascending."""
        return np.unique(self.table[SIL, SIL, SIL])

    @cached_property
    def phone(self) -> np.ndarray:
        """The phone that each state belongs to: int16 [count]; the lowest one where phones share a state."""
        out = np.full(self.count, -1, np.int16)
        for p in reversed(range(len(self.phones))):
            out[self.table[:, p]] = p
        return out

    def pdf(self, left: int, phone: int, right: int, position: int) -> int:
        """The tied state of one position of a phone in its context."""
        return int(self.table[left, phone, right, position])

    def save(self, path: Path) -> None:
        """Write everything to one npz file."""
        with open(path, "wb") as f:
            np.savez_compressed(
                f,
                phones=np.array(self.phones),
                table=self.table,
                self_loop=self.self_loop,
            )

    @classmethod
    def load(cls, path: Path) -> "TiedStates":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as f:
            return cls(tuple(str(p) for p in f["phones"]), f["table"], f["self_loop"])


def monophone(phones: tuple[str, ...], stay: float = 0.6) -> TiedStates:
    """Three states per phone, whatever its context: state 3 p + k for position k of phone p."""
    n = len(phones)
    own = np.arange(n * POSITIONS, dtype=np.int32).reshape(1, n, 1, POSITIONS)
    table = np.broadcast_to(own, (n, n, n, POSITIONS))
    return TiedStates(phones, table, np.full(n * POSITIONS, np.log(stay), np.float32))
