"""Vectors of parameters and gradients, which lie in the host's memory or in that of a device.

Training moves them about and never looks inside, so it needs no torch to know of a device.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from workbench.system import memory


class DeviceVector(ABC):
    """Numbers in the memory of a device, float32 [n]. Nothing writes to it once it is made."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that it would have as a message."""

    @abstractmethod
    def array(self) -> np.ndarray:
        """Return a copy in the host's memory, float32 [n]."""

    @abstractmethod
    def cut(self, bounds: Sequence[int]) -> "Sequence[DeviceVector]":
        """Return the parts between successive ``bounds``; nothing is copied."""

    @abstractmethod
    def plus(self, other: "Vector") -> "DeviceVector":
        """Return the sum of two vectors."""

    @abstractmethod
    def moved(self, rate: float, direction: "Vector") -> "DeviceVector":
        """Return ``self + rate * direction``."""

    @abstractmethod
    def joined(self, parts: "Sequence[Vector]") -> "DeviceVector":
        """Return ``parts`` one after another in one vector, on the device of this one."""

    @abstractmethod
    def norm(self) -> float:
        """Return the Euclidean norm, summed in float64."""

    @abstractmethod
    def finite(self) -> bool:
        """Return whether all numbers are finite."""

    @abstractmethod
    def is_below(self, limit: float) -> bool:
        """Return whether no number is beyond ``limit``; NaN is."""


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view to which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


Vector: TypeAlias = np.ndarray | DeviceVector
Keep = Callable[[np.ndarray], Vector]
"""Copies numbers, float32 [n], to the memory in which a parameter server keeps them."""


def as_array(vector: Vector) -> np.ndarray:
    """Return a vector in the host's memory: itself, or a copy of what a device has."""
    return vector if isinstance(vector, np.ndarray) else vector.array()


def keep_on_host(values: np.ndarray) -> np.ndarray:
    """Return a copy in memory of the host that is used again."""
    out = memory.floats(len(values))
    out[:] = values
    return out
