"""Steps in place, the limit of what training can do: no server, and no gradient that is ever whole.

Where the kernel can, a product is added to the parameters while its tile is in registers.
"""

from dataclasses import dataclass

import numpy as np
import torch

from workbench.model.gemm import float32
from workbench.model.kernels import Kernel
from workbench.model.network import (
    SparseRows,
    Topology,
    device_parameters,
    pass_cross_entropy,
    pass_outer,
)
from workbench.model.sinks import LayerGradient, gradient_pieces
from workbench.model.workspace import LayerParameters


@dataclass(frozen=True)
class MoveInPlace:
    """Adds float32(rate) times the gradients of all layers to ``theta``, the parameters themselves.

    It rounds as numpy's ``theta + rate * gradient`` does.
    """

    theta: np.ndarray
    topology: Topology
    rate: float

    def __call__(self, gradient: LayerGradient, /) -> None:
        views = self._views(gradient.layer)
        p = gradient.p
        if p.kernel.multiplies_factors and p.aliased and gradient.rows is None:
            float32.move(gradient.delta, gradient.h, views.weight, self.rate, views.weight)
            views.bias.add_(gradient.delta.sum(0, dtype=p.accumulate).mul_(self.rate))
            return

        for view, total in gradient_pieces(gradient, views, direct=False):
            change = total.to("cpu", view.dtype).mul_(self.rate)
            if gradient.rows is None:
                view.add_(change)
            else:
                view.index_add_(0, gradient.rows.to(view.device), change)

    def _views(self, layer: int) -> LayerParameters:
        flat = torch.from_numpy(self.theta)
        entries = self.topology.layout().entries
        name = self.topology.names[layer]
        parts = (entries[f"{name}.{part}"] for part in ("weight", "bias"))
        return LayerParameters(*(flat[where].view(shape) for where, shape in parts))


def step(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    rows: SparseRows,
    rate: float,
    kernel: Kernel | None = None,
) -> None:
    """Add ``rate`` times the gradient of an outer gradient to ``theta``, in place."""
    p = device_parameters(theta, topology, kernel)
    pass_outer(p, x, rows, "all", MoveInPlace(theta, topology, rate))


def ce_step(
    theta: np.ndarray,
    topology: Topology,
    x: np.ndarray,
    targets: np.ndarray,
    rate: float,
    kernel: Kernel | None = None,
) -> None:
    """Add ``rate`` times the gradient of cross entropy to ``theta``, in place."""
    p = device_parameters(theta, topology, kernel)
    pass_cross_entropy(p, x, targets, "all", MoveInPlace(theta, topology, rate))
