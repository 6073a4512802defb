"""Parameters and gradients as tensors: what training moves about when they stay on a device."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from workbench.system.vectors import DeviceVector, Keep, Vector


class TorchVector(DeviceVector):
    """A tensor float32 [n], contiguous, on any device of torch.

    ``largest``: the largest magnitude in it, where that is known already.
    """

    def __init__(self, values: torch.Tensor, largest: float | None = None):
        self.values = values
        self._largest = largest

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def array(self) -> np.ndarray:
        return self.values.to("cpu", copy=True).numpy()

    def cut(self, bounds: Sequence[int]) -> "list[TorchVector]":
        if tuple(bounds) == (0, len(self)):
            return [self]  # which knows its largest number
        return [TorchVector(self.values[start:stop]) for start, stop in pairwise(bounds)]

    def plus(self, other: Vector) -> "TorchVector":
        return TorchVector(self.values + self._beside(other))

    def moved(self, rate: float, direction: Vector) -> "TorchVector":
        """Return ``self + float32(rate) * direction``, in one pass over the memory."""
        step = float(np.float32(rate))
        return TorchVector(torch.add(self.values, self._beside(direction), alpha=step))

    def joined(self, parts: Sequence[Vector]) -> "TorchVector":
        return TorchVector(torch.cat([self._beside(part) for part in parts]))

    def norm(self) -> float:
        return float(torch.linalg.vector_norm(self.values, dtype=torch.float64))

    def finite(self) -> bool:
        return math.isfinite(self.largest)

    def is_below(self, limit: float) -> bool:
        return self.largest <= limit

    @property
    def largest(self) -> float:
        """The largest magnitude; the device is asked only once."""
        if self._largest is None:
            self._largest = float(largest_magnitude(self.values))
        return self._largest

    def _beside(self, vector: Vector) -> torch.Tensor:
        """Return any vector as a tensor on the device of this one."""
        if isinstance(vector, TorchVector):
            return vector.values
        host = vector if isinstance(vector, np.ndarray) else vector.array()
        return tensor(host).to(self.values.device)


def largest_magnitude(values: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude of ``values``, on their device; NaN if one of them is."""
    if not values.numel():
        return values.new_zeros(())
    return torch.linalg.vector_norm(values, torch.inf)


def keep_on(device: torch.device) -> Keep:
    """Return the function that copies numbers of the host, float32 [n], to ``device``."""

    def keep(values: np.ndarray) -> TorchVector:
        return TorchVector(tensor(values).to(device, copy=True))

    return keep


def tensor(array: np.ndarray) -> torch.Tensor:
    """Return ``array`` as a tensor over the same memory, also if it is read-only (then the tensor
    must not be written).

    torch warns of read-only arrays. Published parameters and memory-mapped frames always are, so
    its warning would mean nothing here.
    """
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writeable(array)))


class _Writeable:
    """The array interface of a read-only array without its mark; keeps the array alive."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        interface: dict[str, Any] = array.__array_interface__
        address, _ = interface["data"]
        self.__array_interface__ = {**interface, "data": (address, False)}
