"""Tied states: the states that each phone has in its context, and how likely each repeats.

Every phone is a chain of three states, passed from left to right, each with a self loop. Tying is
one dense table, so that graphs and alignments are made by indexing, with or without a tree.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from workbench.storage.files import write_npz

SIL = 0  # the silence phone
POSITIONS = 3  # states per phone

NOISE = frozenset(
    {"SPN", "NSN", "LAU", "GBG", "NOISE", "BREATH", "BRTH", "COUGH", "SMACK", "LAUGHTER"}
)
"""How lexica of Kaldi and Sphinx call noise, without the signs around it (``+NOISE+``)."""

WORD_POSITION = re.compile("_[BIES]$")
"""Kaldi's mark of where in a word a phone stands: begin, inside, end, or the only one."""


@dataclass(frozen=True)
class TiedStates:
    """The tied state of each (left phone, phone, right phone, position), and its self loop.

    ``table``: int32 [phones, phones, phones, 3]. ``self_loop``: float32 [count], natural log of
    the probability of staying, negative. Outside an utterance, and across silence, the context is
    SIL; SIL itself has no context. Raises ValueError if the parts do not fit together.
    """

    phones: tuple[str, ...]
    table: np.ndarray
    self_loop: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", np.ascontiguousarray(self.table, np.int32))
        object.__setattr__(self, "self_loop", np.ascontiguousarray(self.self_loop, np.float32))

        phones = len(self.phones)
        if self.table.shape != (phones, phones, phones, POSITIONS):
            raise ValueError(f"table of {phones} phones has shape {self.table.shape}")
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
        """Number of tied states, which are the outputs of a network."""
        return len(self.self_loop)

    @cached_property
    def leave(self) -> np.ndarray:
        """Log probability of leaving each state: float32 [count], log(1 - exp(self_loop))."""
        return np.log1p(-np.exp(self.self_loop.astype(np.float64))).astype(np.float32)

    @cached_property
    def silence(self) -> np.ndarray:
        """The states of SIL, ascending."""
        return np.unique(self.table[SIL, SIL, SIL])

    @cached_property
    def silence_phones(self) -> tuple[int, ...]:
        """SIL, and the phones whose names say that they are noise, ascending."""
        names = enumerate(self.phones)
        noise = [phone for phone, name in names if _is_noise(name)]
        return (SIL, *noise)

    @cached_property
    def phone(self) -> np.ndarray:
        """The phone of each state: int16 [count]; the lowest one where phones share a state."""
        out = np.full(self.count, -1, np.int16)
        for phone in reversed(range(len(self.phones))):
            out[self.table[:, phone]] = phone
        return out

    def save(self, path: Path) -> None:
        """Write everything to one npz file."""
        write_npz(path, phones=np.array(self.phones), table=self.table, self_loop=self.self_loop)

    @classmethod
    def load(cls, path: Path) -> "TiedStates":
        """Return the states that ``save`` wrote."""
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            phones = tuple(str(phone) for phone in file["phones"])
            return cls(phones, file["table"], file["self_loop"])


def _is_noise(name: str) -> bool:
    """Whether a phone's name says that it is noise, without its word position and signs."""
    return WORD_POSITION.sub("", name).strip("+<>[]{}").upper() in NOISE


def monophone(phones: tuple[str, ...], stay: float = 0.6) -> TiedStates:
    """Return three states per phone in any context: state 3 p + k for position k of phone p.

    ``stay``: the probability of each state's self loop.
    """
    count = len(phones) * POSITIONS
    by_phone = np.arange(count, dtype=np.int32).reshape(1, len(phones), 1, POSITIONS)
    table = np.broadcast_to(by_phone, (len(phones), len(phones), len(phones), POSITIONS))
    return TiedStates(phones, table, np.full(count, np.log(stay), np.float32))
