"""The gradient of a batch in factors: what a replica pushes where the parameter server multiplies.

The gradient of a weight is deltaᵀ h, and for a batch of 32 frames both factors together have a sixteenth of its
numbers (Xie et al. 2014, *Distributed machine learning via sufficient factor broadcasting*). So a push is small, and
the server needs no pass over a gradient: it adds to the parameters while a tile of the product is in registers. The
bits are those that the gradient itself would have left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch

from workbench import memory
from workbench.model import kernels
from workbench.model.topology import Topology, Trained, trained_slice
from workbench.model.workspace import Parameters, Workspace, tensor

LARGEST = float(np.finfo(np.float32).max) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """One part of a vector of gradients: a weight's, as factors, or a bias's, as it is."""

    at: int  # where in the vector it begins
    rows: int  # of the weight; of a bias its numbers
    delta: np.ndarray  # float32 [rows, frames], or only those of ``which``; [rows] of a bias
    h: np.ndarray | None = None  # float32 [frames, inputs]; None: a bias
    which: np.ndarray | None = None  # int64: rows of the weight that ``delta`` has; the gradient of others is zero

    @property
    def row(self) -> int:
        """Numbers in the vector for one of ``rows``."""
        return 1 if self.h is None else self.h.shape[1]

    @property
    def size(self) -> int:
        """Numbers in the vector."""
        return self.rows * self.row

    def divides(self, bound: int) -> bool:
        """Whether ``bound`` lies within a row."""
        return self.at < bound < self.at + self.size and (bound - self.at) % self.row != 0

    def cut(self, start: int, stop: int) -> "Factor | None":
        """The part within ``start`` and ``stop`` of the vector, whose numbers count from ``start`` on."""
        first, last = ((min(max(end - self.at, 0), self.size) // self.row) for end in (start, stop))
        if first == last:
            return None
        if (first, last) == (0, self.rows):
            return Factor(self.at - start, self.rows, self.delta, self.h, self.which)
        found = slice(first, last) if self.which is None else slice(*np.searchsorted(self.which, (first, last)))
        which = None if self.which is None else self.which[found] - first
        return Factor(self.at + first * self.row - start, last - first, self.delta[found], self.h, which)


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A gradient over parameters that lie in one vector, float32; see `workbench.training.messages.Factored`."""

    parts: tuple[Factor, ...]
    precision: str = "float32"  # of the products

    @property
    def nbytes(self) -> int:
        """What a push carries."""
        return sum(a.nbytes for p in self.parts for a in (p.delta, p.h, p.which) if a is not None)

    def cut(self, bounds: Sequence[int]) -> "list[Factors] | list[np.ndarray]":
        """The gradients of the parts of the vector between ``bounds``; multiplied if one of them cuts a row."""
        if any(p.divides(bound) for p in self.parts for bound in bounds):
            whole = self.array()
            return [whole[a:b] for a, b in pairwise(bounds)]
        cuts = [[p.cut(*ends) for p in self.parts] for ends in pairwise(bounds)]
        return [Factors(tuple(p for p in cut if p), self.precision) for cut in cuts]

    def finite(self) -> bool:
        """Whether all numbers of the gradient are finite, by the factors' largest ones or else by the products."""
        safe = all(_largest(p.delta) * (1.0 if p.h is None else _largest(p.h) * len(p.h)) < LARGEST for p in self.parts)
        return safe or bool(np.isfinite(self.array()).all())

    def array(self) -> np.ndarray:
        """The gradient itself, float32 [parameters]."""
        out = memory.floats(sum(p.size for p in self.parts))
        kernel = kernels.choose(self.precision)
        for p in self.parts:
            here = out[p.at : p.at + p.size]
            if p.h is None:
                here[:] = p.delta
            elif p.which is None:
                kernel.gradient(tensor(p.delta).t(), tensor(p.h), tensor(here).view(p.rows, -1))
            else:
                here[:] = 0
                tensor(here).view(p.rows, -1).index_copy_(0, tensor(p.which), _product(kernel, p.delta, p.h))
        return out

    def moved(self, theta: np.ndarray, rate: np.float32, out: np.ndarray) -> bool:
        """Write ``theta + rate * gradient`` to ``out``, all float32 [parameters]; whether the gradient is finite."""
        kernel = kernels.choose(self.precision)
        if kernel.move is None or not self.finite():
            step = self.array()
            np.add(theta, rate * step, out=out)
            return bool(np.isfinite(step).all())
        for p in self.parts:
            here = slice(p.at, p.at + p.size)
            if p.h is None:
                np.add(theta[here], rate * p.delta, out=out[here])
                continue
            before, after = (tensor(vector[here]).view(p.rows, -1) for vector in (theta, out))
            if p.which is None:
                kernel.move(tensor(p.delta).t(), tensor(p.h), before, float(rate), after)
            else:
                change = _product(kernel, p.delta, p.h).mul_(float(rate))
                after.copy_(before).index_add_(0, tensor(p.which), change)
        return True


def _largest(x: np.ndarray) -> float:
    """The largest magnitude; NaN or infinity if there is one."""
    return max(float(x.max()), -float(x.min())) if x.size else 0.0


def _product(kernel: kernels.Kernel, delta: np.ndarray, h: np.ndarray) -> torch.Tensor:
    out = torch.empty(len(delta), h.shape[1])
    kernel.gradient(tensor(delta).t(), tensor(h), out)
    return out


@dataclass(frozen=True)
class Keep:
    """Takes what the layers' gradients are made of (a `Sink`), the last layer first; ``factors`` are then whole."""

    topology: Topology
    trained: Trained
    silence: np.ndarray | None
    parts: list[Factor] = field(default_factory=list)

    def factors(self, precision: str) -> Factors:
        return Factors(tuple(self.parts), precision)

    def __call__(
        self, p: Parameters, space: Workspace, layer: int, delta: torch.Tensor, h: torch.Tensor,
        rows: torch.Tensor | None,
    ) -> None:  # fmt: skip
        entries, start = self.topology.layout().entries, trained_slice(self.topology, self.trained).start
        (weight, (outputs, _)), (bias, _) = (
            entries[f"{self.topology.names[layer]}.{part}"] for part in ("weight", "bias")
        )
        if self.silence is not None:
            silent = torch.from_numpy(self.silence).to(p.device)
            delta = delta.index_fill(1, silent if rows is None else torch.isin(rows, silent).nonzero()[:, 0], 0)
        which, sums = None if rows is None else rows.cpu().numpy(), np.zeros(outputs, np.float32)
        sums[slice(None) if which is None else which] = delta.sum(0, dtype=p.accumulate).cpu().numpy()
        self.parts.append(Factor(weight.start - start, outputs, kept(delta.t()), kept(h), which))
        self.parts.append(Factor(bias.start - start, outputs, sums))


def kept(matrix: torch.Tensor) -> np.ndarray:
    """A copy, float32, in memory that is used again."""
    out = memory.floats(matrix.numel()).reshape(matrix.shape)
    torch.from_numpy(out).copy_(matrix)
    return out
