"""The gradient of a batch in factors: what a replica pushes where the parameter server multiplies.

The gradient of a weight is deltaᵀ h, and for a batch of 32 frames both factors together have a fifteenth of its
numbers (Xie et al. 2014, *Distributed machine learning via sufficient factor broadcasting*). So a push is small, and
the server needs no pass over a gradient: it adds to the parameters while a tile of the product is in registers. The
bits are those that the gradient itself would have left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

from workbench import memory
from workbench.model import kernels
from workbench.model.kernels import Kernel
from workbench.model.workspace import tensor

LARGEST = float(np.finfo(np.float32).max) / 2


class Part(Protocol):
    """The gradient of one array of parameters, which lies in a vector of gradients from ``at`` on."""

    @property
    def at(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def largest(self) -> float:
        """No number of it is larger; NaN or infinity if one may be."""

    def divides(self, bound: int) -> bool:
        """Whether ``bound`` of the vector lies within what cannot be cut."""

    def cut(self, start: int, stop: int) -> "Part | None":
        """What lies within ``start`` and ``stop`` of the vector, its places counted from ``start`` on."""

    def write(self, out: np.ndarray, kernel: Kernel) -> None:
        """The gradient, float32 [size]."""

    def move(self, theta: np.ndarray, rate: np.float32, out: np.ndarray, kernel: Kernel) -> None:
        """``theta + rate * gradient``, float32 [size]."""


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """That of a bias, as it is."""

    at: int
    value: np.ndarray  # float32 [outputs]

    @property
    def size(self) -> int:
        return len(self.value)

    @property
    def nbytes(self) -> int:
        return self.value.nbytes

    @property
    def largest(self) -> float:
        return _largest(self.value)

    def divides(self, bound: int) -> bool:
        return False

    def cut(self, start: int, stop: int) -> "Sum | None":
        first, last = (min(max(end - self.at, 0), self.size) for end in (start, stop))
        return Sum(self.at + first - start, self.value[first:last]) if first < last else None

    def write(self, out: np.ndarray, kernel: Kernel) -> None:
        out[:] = self.value

    def move(self, theta: np.ndarray, rate: np.float32, out: np.ndarray, kernel: Kernel) -> None:
        np.add(theta, rate * self.value, out=out)


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """That of a weight [rows, inputs]: deltaᵀ h, summed over frames."""

    at: int
    rows: int
    delta: np.ndarray  # float32 [frames, rows], or [rows, frames] if ``turned``, as it lay
    h: np.ndarray  # float32 [frames, inputs]
    turned: bool = False
    which: np.ndarray | None = (
        None  # int64: the rows that ``delta`` has; the gradient of others is zero
    )

    @property
    def size(self) -> int:
        return self.rows * self.h.shape[1]

    @property
    def nbytes(self) -> int:
        return self.delta.nbytes + self.h.nbytes + (0 if self.which is None else self.which.nbytes)

    @property
    def largest(self) -> float:
        return _largest(self.delta) * _largest(self.h) * len(self.h)

    def divides(self, bound: int) -> bool:
        return self.at < bound < self.at + self.size and (bound - self.at) % self.h.shape[1] != 0

    def cut(self, start: int, stop: int) -> "Product | None":
        row = self.h.shape[1]
        first, last = (min(max(end - self.at, 0), self.size) // row for end in (start, stop))
        if (first, last) == (0, self.rows):
            return replace(self, at=self.at - start)
        found = (
            slice(first, last)
            if self.which is None
            else slice(*np.searchsorted(self.which, (first, last)))
        )
        delta = self.delta[found] if self.turned else np.ascontiguousarray(self.delta[:, found])
        which = None if self.which is None else self.which[found] - first
        at = self.at + first * row - start
        return (
            Product(at, last - first, delta, self.h, self.turned, which) if first < last else None
        )

    def write(self, out: np.ndarray, kernel: Kernel) -> None:
        matrix = tensor(out).view(self.rows, -1)
        if self.which is None:
            kernel.gradient(self._delta, tensor(self.h), matrix)
        else:
            matrix.zero_().index_copy_(0, tensor(self.which), self._some(len(self.which), kernel))

    def move(self, theta: np.ndarray, rate: np.float32, out: np.ndarray, kernel: Kernel) -> None:
        before, after = (tensor(vector).view(self.rows, -1) for vector in (theta, out))
        if self.which is not None:
            change = self._some(len(self.which), kernel).mul_(float(rate))
            after.copy_(before).index_add_(0, tensor(self.which), change)
        elif kernel.move:
            kernel.move(self._delta, tensor(self.h), before, float(rate), after)
        else:
            torch.add(before, self._some(self.rows, kernel).mul_(float(rate)), out=after)

    @property
    def _delta(self) -> torch.Tensor:
        return tensor(self.delta).t() if self.turned else tensor(self.delta)

    def _some(self, rows: int, kernel: Kernel) -> torch.Tensor:
        out = torch.empty(rows, self.h.shape[1])
        kernel.gradient(self._delta, tensor(self.h), out)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A gradient over parameters that lie in one vector; see `workbench.training.messages.Factored`."""

    parts: tuple[Part, ...]
    precision: str = "float32"  # of the products

    @property
    def kernel(self) -> Kernel:
        """What multiplies, wherever it is done: another one would give other bits."""
        return kernels.kernel("tiles", self.precision)

    @property
    def nbytes(self) -> int:
        """What a push carries."""
        return sum(p.nbytes for p in self.parts)

    def cut(self, bounds: Sequence[int]) -> "list[Factors] | list[np.ndarray]":
        """The gradients of the parts of the vector between ``bounds``; multiplied if one of them cuts a row."""
        if any(p.divides(bound) for p in self.parts for bound in bounds):
            whole = self.array()
            return [whole[a:b] for a, b in pairwise(bounds)]
        cuts = [[p.cut(*ends) for p in self.parts] for ends in pairwise(bounds)]
        return [Factors(tuple(p for p in cut if p), self.precision) for cut in cuts]

    def finite(self) -> bool:
        """Whether all numbers of the gradient are finite, by the factors' largest ones or else by the products."""
        return all(p.largest < LARGEST for p in self.parts) or bool(np.isfinite(self.array()).all())

    def array(self) -> np.ndarray:
        """The gradient itself, float32 [parameters]."""
        out, kernel = memory.floats(sum(p.size for p in self.parts)), self.kernel
        for p in self.parts:
            p.write(out[p.at : p.at + p.size], kernel)
        return out

    def moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> bool:
        """Write ``theta + rate * gradient`` to ``out``, all float32 [parameters]; whether the gradient is finite."""
        kernel = self.kernel
        for p in self.parts:
            here = slice(p.at, p.at + p.size)
            p.move(theta[here], rate, out[here], kernel)
        return self.finite()


def _largest(x: np.ndarray) -> float:
    """The largest magnitude; NaN or infinity if there is one."""
    return max(float(x.max()), -float(x.min())) if x.size else 0.0


def kept(matrix: torch.Tensor) -> np.ndarray:
    """A copy, float32, in memory that is used again."""
    out = memory.floats(matrix.numel()).reshape(matrix.shape)
    torch.from_numpy(out).copy_(matrix)
    return out
