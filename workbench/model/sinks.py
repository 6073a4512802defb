"""What becomes of the gradient of a layer: stored as part of a vector, or kept in factors.

Both make each product in the same way, so a gradient multiplied here and one multiplied by a server
have the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from workbench.model.factors import BiasSum, Factors, Part, WeightProduct, copy_matrix
from workbench.model.topology import Topology, Trained, trained_slice
from workbench.model.workspace import DeviceParameters, LayerParameters, NetworkWorkspace

ROWS = 512  # of a weight's gradient made at a time, so that they are still in the cache when copied


class LayerGradient(NamedTuple):
    """What the gradients of one layer are made of: deltaᵀ h for its weight, Σ_t delta_t for its
    bias.

    ``delta`` [frames, outputs], or the outputs ``rows`` (int64) of them: the gradient of others is
    zero. ``h`` [frames, inputs]. ``layer``: the number of the layer.
    """

    p: DeviceParameters
    space: NetworkWorkspace
    layer: int
    delta: torch.Tensor
    h: torch.Tensor
    rows: torch.Tensor | None

    def without(self, silence: np.ndarray | None) -> "LayerGradient":
        """Return the same with a gradient of zero for the outputs ``silence``."""
        if silence is None:
            return self
        silent = torch.from_numpy(silence).to(self.delta.device)
        columns = silent if self.rows is None else torch.isin(self.rows, silent).nonzero()[:, 0]
        return self._replace(delta=self.delta.index_fill(1, columns, 0))


class Sink(Protocol):
    """Takes the gradients of one layer after the other."""

    def __call__(self, gradient: LayerGradient, /) -> None: ...


@dataclass(frozen=True)
class Store:
    """Writes the gradient into ``out``, a vector of the trained slice on the host or the device."""

    out: torch.Tensor
    topology: Topology
    trained: Trained
    silence: np.ndarray | None

    def __call__(self, gradient: LayerGradient, /) -> None:
        rows = gradient.rows
        views = self._views(gradient.layer)
        if rows is not None:
            views.weight.zero_()
            views.bias.zero_()

        delta = gradient.delta
        same = self.out.device == delta.device and self.out.dtype == delta.dtype
        direct = same and rows is None
        for view, piece in gradient_pieces(gradient, views, direct):
            if rows is not None:
                view.index_copy_(0, rows.to(view.device), piece.to(view))
            elif piece is not view:
                view.copy_(piece)

        if self.silence is not None:
            silent = torch.from_numpy(self.silence).to(self.out.device)
            views.weight.index_fill_(0, silent, 0)
            views.bias.index_fill_(0, silent, 0)

    def _views(self, layer: int) -> LayerParameters:
        """Return the weight and the bias of a layer within ``out``."""
        start = trained_slice(self.topology, self.trained).start
        entries = self.topology.layout().entries
        name = self.topology.names[layer]

        def view(part: str) -> torch.Tensor:
            where, shape = entries[f"{name}.{part}"]
            return self.out[where.start - start : where.stop - start].view(shape)

        return LayerParameters(view("weight"), view("bias"))


@dataclass(frozen=True)
class Keep:
    """Keeps copies of the factors of the layers' gradients; `factors` returns them once all layers
    are there.
    """

    topology: Topology
    trained: Trained
    silence: np.ndarray | None
    parts: list[Part] = field(default_factory=list)

    def factors(self) -> Factors:
        """Return the factors of all layers so far."""
        return Factors(tuple(self.parts))

    def __call__(self, gradient: LayerGradient, /) -> None:
        gradient = gradient.without(self.silence)
        delta = gradient.delta
        start = trained_slice(self.topology, self.trained).start
        entries = self.topology.layout().entries
        name = self.topology.names[gradient.layer]
        weight, _ = entries[f"{name}.weight"]
        bias, _ = entries[f"{name}.bias"]

        which = None if gradient.rows is None else gradient.rows.cpu().numpy()
        sums = np.zeros(self.topology.widths[gradient.layer + 1], np.float32)
        total = delta.sum(0, dtype=gradient.p.accumulate).cpu().numpy()
        sums[slice(None) if which is None else which] = total

        turned = delta.stride(0) == 1 and len(delta) > 1
        product = WeightProduct(
            at=weight.start - start,
            rows=len(sums),
            delta=copy_matrix(delta.t() if turned else delta),
            h=copy_matrix(gradient.h),
            turned=turned,
            which=which,
        )
        self.parts.append(product)
        self.parts.append(BiasSum(bias.start - start, sums))


def gradient_pieces(
    gradient: LayerGradient, views: LayerParameters, direct: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (part of the bias or weight, its gradient), one by one in the same buffer, or
    ``direct``ly in the part.

    The pieces are always the same: BLAS promises the same bits only for the same product.
    """
    p = gradient.p
    delta = gradient.delta
    if direct:
        yield views.bias, torch.sum(delta, 0, dtype=p.accumulate, out=views.bias)
    else:
        yield views.bias, delta.sum(0, dtype=p.accumulate)

    columns = delta.shape[1]
    in_pieces = gradient.rows is None and p.device.type == "cpu"
    height = ROWS if in_pieces else max(1, columns)
    for start in range(0, columns, height):
        piece = delta[:, start : start + height]
        view = views.weight
        if gradient.rows is None:
            view = view[start : start + height]
        if direct:
            product = view
        else:
            product = gradient.space.buffer("product", piece.shape[1], gradient.h.shape[1])
        p.kernel.gradient(piece, gradient.h, product)
        yield view, product
