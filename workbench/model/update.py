"""What becomes of the gradient of a layer: stored as part of a vector, or added at once to the parameters.

Both make each product by the same call, and `Move` rounds as numpy's ``theta += rate * gradient`` does, so that a step
in place and a gradient applied by a server give the same bits. (BLAS could add to the weights within the product, but
rounds otherwise, and would break that law.)
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from workbench.model.topology import Topology, Trained, trained_slice
from workbench.model.workspace import Parameters, Workspace

BLOCK = 1 << 17  # parameters scaled and added at a time, so that the second pass finds them in the cache


class Sink(Protocol):
    """Takes the gradients of one layer, deltaᵀ h of its weight and Σ_t delta_t of its bias; ``rows``: others zero."""

    def __call__(
        self,
        p: Parameters,
        space: Workspace,
        layer: int,
        delta: torch.Tensor,
        h: torch.Tensor,
        rows: torch.Tensor | None,
    ) -> None: ...


@dataclass(frozen=True)
class Store:
    """Writes the gradient into ``out``, a vector of the trained slice on the host."""

    out: torch.Tensor
    topology: Topology
    trained: Trained
    silence: np.ndarray | None

    def __call__(
        self,
        p: Parameters,
        space: Workspace,
        layer: int,
        delta: torch.Tensor,
        h: torch.Tensor,
        rows: torch.Tensor | None,
    ) -> None:
        weight, bias = layer_views(
            self.out,
            self.topology,
            layer,
            trained_slice(self.topology, self.trained).start,
        )
        if rows is None and p.aliased:
            p.kernel.product(delta.t(), h, weight)
            torch.sum(delta, 0, out=bias)
        else:
            for view, total in zip((weight, bias), totals(p, space, delta, h), strict=True):
                _place(view, total, rows)
        if self.silence is not None:
            weight.numpy()[self.silence] = 0
            bias.numpy()[self.silence] = 0


@dataclass(frozen=True)
class Move:
    """Adds float32(rate) times the gradient to ``theta``, the parameters themselves."""

    theta: torch.Tensor
    topology: Topology
    rate: float
    silence: np.ndarray | None

    def __call__(
        self,
        p: Parameters,
        space: Workspace,
        layer: int,
        delta: torch.Tensor,
        h: torch.Tensor,
        rows: torch.Tensor | None,
    ) -> None:
        for view, total in zip(
            layer_views(self.theta, self.topology, layer, 0), totals(p, space, delta, h), strict=True
        ):
            change = total.to("cpu", view.dtype)
            if self.silence is not None:
                silent = self.silence if rows is None else np.flatnonzero(np.isin(rows.cpu().numpy(), self.silence))
                change[torch.from_numpy(silent)] = 0
            if rows is not None:
                view.index_add_(0, rows.cpu(), change.mul_(self.rate))
                continue
            for one, other in zip(view.view(-1).split(BLOCK), change.view(-1).split(BLOCK), strict=True):
                one.add_(other.mul_(self.rate))


def totals(p: Parameters, space: Workspace, delta: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(deltaᵀ h, Σ_t delta_t) in a buffer that the next call overwrites."""
    weight = space.buffer("product", delta.shape[1], h.shape[1])
    p.kernel.product(delta.t(), h, weight)
    return weight, delta.sum(0, dtype=p.accumulate)


def layer_views(flat: torch.Tensor, topology: Topology, layer: int, base: int) -> list[torch.Tensor]:
    """The weight and the bias of a layer within ``flat``, which begins at parameter ``base``."""
    entries = topology.layout().entries
    found = (entries[f"{topology.names[layer]}.{part}"] for part in ("weight", "bias"))
    return [flat[where.start - base : where.stop - base].view(shape) for where, shape in found]


def _place(view: torch.Tensor, total: torch.Tensor, rows: torch.Tensor | None) -> None:
    if rows is None:
        view.copy_(total)
    else:
        view.zero_().index_copy_(0, rows.to(view.device), total.to(view))
