"""The gradient of a batch in factors: what a replica pushes where the parameter server multiplies.

The gradient of a weight is deltaᵀ h, and for a batch of 32 frames both factors together have a
fifteenth of its numbers (Xie et al. 2014, *Distributed machine learning via sufficient factor
broadcasting*). So a push is small, and the server needs no pass over a gradient: it adds to the
parameters while a tile of the product is in registers. The bits are those that the gradient itself
would have left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

from workbench.model.gemm import float32
from workbench.model.torch_vector import tensor
from workbench.system import memory

LARGEST = float(np.finfo(np.float32).max) / 2


class Part(Protocol):
    """The gradient of one array of parameters, which begins at ``at`` in a vector of gradients."""

    @property
    def at(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def largest(self) -> float:
        """A bound of the magnitude of its numbers; NaN or infinity if one of the factors is not
        finite.
        """

    def is_split_by(self, bound: int) -> bool:
        """Return whether ``bound`` of the vector lies within a row, which cannot be cut."""

    def cut(self, start: int, stop: int) -> "Part | None":
        """Return what lies between ``start`` and ``stop`` of the vector, its place counted from
        ``start`` on.
        """

    def write(self, out: np.ndarray) -> None:
        """Write the gradient to ``out`` float32 [size]."""

    def write_moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> None:
        """Write ``theta + rate * gradient`` to ``out`` float32 [size]."""


@dataclass(frozen=True, slots=True, eq=False)
class BiasSum:
    """The gradient of a bias itself: ``value`` float32 [outputs]."""

    at: int
    value: np.ndarray

    @property
    def size(self) -> int:
        return len(self.value)

    @property
    def nbytes(self) -> int:
        return self.value.nbytes

    @property
    def largest(self) -> float:
        return _largest_magnitude(self.value)

    def is_split_by(self, bound: int) -> bool:
        return False

    def cut(self, start: int, stop: int) -> "BiasSum | None":
        first = _clip(start - self.at, self.size)
        last = _clip(stop - self.at, self.size)
        if first >= last:
            return None
        return BiasSum(self.at + first - start, self.value[first:last])

    def write(self, out: np.ndarray) -> None:
        out[:] = self.value

    def write_moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> None:
        np.add(theta, rate * self.value, out=out)


@dataclass(frozen=True, slots=True, eq=False)
class WeightProduct:
    """The gradient of a weight [rows, inputs] as deltaᵀ h, summed over frames.

    ``delta`` float32 [frames, rows], or [rows, frames] if ``turned``, as it lay in memory; ``h``
    float32 [frames, inputs]. ``which`` int64: the rows that ``delta`` has, None: all; the gradient
    of others is zero.
    """

    at: int
    rows: int
    delta: np.ndarray
    h: np.ndarray
    turned: bool = False
    which: np.ndarray | None = None

    @property
    def size(self) -> int:
        return self.rows * self.h.shape[1]

    @property
    def nbytes(self) -> int:
        of_rows = 0 if self.which is None else self.which.nbytes
        return self.delta.nbytes + self.h.nbytes + of_rows

    @property
    def largest(self) -> float:
        return _largest_magnitude(self.delta) * _largest_magnitude(self.h) * len(self.h)

    def is_split_by(self, bound: int) -> bool:
        inside = self.at < bound < self.at + self.size
        return inside and (bound - self.at) % self.h.shape[1] != 0

    def cut(self, start: int, stop: int) -> "WeightProduct | None":
        inputs = self.h.shape[1]
        first = _clip(start - self.at, self.size) // inputs
        last = _clip(stop - self.at, self.size) // inputs
        if first == 0 and last == self.rows:
            return replace(self, at=self.at - start)
        if first >= last:
            return None

        kept = slice(first, last)
        which = None
        if self.which is not None:
            kept = slice(*np.searchsorted(self.which, (first, last)))
            which = self.which[kept] - first
        delta = self.delta[kept] if self.turned else np.ascontiguousarray(self.delta[:, kept])
        at = self.at + first * inputs - start
        return WeightProduct(at, last - first, delta, self.h, self.turned, which)

    def write(self, out: np.ndarray) -> None:
        matrix = tensor(out).view(self.rows, -1)
        if self.which is None:
            float32.gradient(self._delta, tensor(self.h), matrix)
        else:
            product = self._multiply_kept(self.which)
            matrix.zero_().index_copy_(0, tensor(self.which), product)

    def write_moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> None:
        before = tensor(theta).view(self.rows, -1)
        after = tensor(out).view(self.rows, -1)
        if self.which is None:
            float32.move(self._delta, tensor(self.h), before, float(rate), after)
        else:
            change = self._multiply_kept(self.which).mul_(float(rate))
            after.copy_(before).index_add_(0, tensor(self.which), change)

    @property
    def _delta(self) -> torch.Tensor:
        """delta [frames, rows]."""
        return tensor(self.delta).t() if self.turned else tensor(self.delta)

    def _multiply_kept(self, which: np.ndarray) -> torch.Tensor:
        """Return the rows ``which`` of the product in memory of their own, [rows, inputs]."""
        out = torch.empty(len(which), self.h.shape[1])
        float32.gradient(self._delta, tensor(self.h), out)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A gradient over parameters that lie in one vector, not multiplied yet.

    The products of `workbench.model.gemm` multiply it on every machine: others would give other
    bits. It implements `workbench.training.messages.Factored`.
    """

    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that a push carries."""
        return sum(part.nbytes for part in self.parts)

    def cut(self, bounds: Sequence[int]) -> "list[Factors] | list[np.ndarray]":
        """Return the gradients between successive ``bounds`` of the vector; multiplied if a bound
        splits a row.
        """
        if any(part.is_split_by(bound) for part in self.parts for bound in bounds):
            whole = self.array()
            return [whole[start:stop] for start, stop in pairwise(bounds)]

        shards = []
        for start, stop in pairwise(bounds):
            cuts = (part.cut(start, stop) for part in self.parts)
            inside = tuple(part for part in cuts if part is not None)
            shards.append(Factors(inside))

        return shards

    def finite(self) -> bool:
        """Return whether all numbers of the gradient are finite; multiplies only if the factors are
        too large.
        """
        if all(part.largest < LARGEST for part in self.parts):
            return True
        return bool(np.isfinite(self.array()).all())

    def is_below(self, limit: float) -> bool:
        """Return whether no number of the gradient is beyond ``limit``, NaN included."""
        if all(part.largest < min(LARGEST, limit) for part in self.parts):
            return True
        return bool((np.abs(self.array()) <= limit).all())

    def array(self) -> np.ndarray:
        """Return the gradient itself, float32 [parameters]."""
        out = memory.floats(sum(part.size for part in self.parts))
        for part in self.parts:
            part.write(out[part.at : part.at + part.size])
        return out

    def write_moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> None:
        """Write ``theta + rate * gradient`` to ``out``, all float32 [parameters]."""
        for part in self.parts:
            here = slice(part.at, part.at + part.size)
            part.write_moved(theta[here], rate, out[here])


def _clip(place: int, size: int) -> int:
    return min(max(place, 0), size)


def _largest_magnitude(x: np.ndarray) -> float:
    """Return the largest magnitude; NaN or infinity if there is one."""
    return max(float(x.max()), -float(x.min())) if x.size else 0.0


def copy_matrix(matrix: torch.Tensor) -> np.ndarray:
    """Return a copy, float32, in memory that is used again."""
    out = memory.floats(matrix.numel()).reshape(matrix.shape)
    torch.from_numpy(out).copy_(matrix)
    return out
