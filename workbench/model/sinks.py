"""What becomes of the gradient of a layer: stored as part of a vector, kept in factors, or added to the parameters.

All make each product in the same way, and `Move` rounds as numpy's ``theta += rate * gradient`` does, so that a step
in place and a gradient applied by a server give the same bits. (BLAS can add to the weights within the product, but
rounds otherwise. A kernel with a ``move`` of its own does it while a tile of the gradient is in registers, with the
bits that the law wants.)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from workbench.model.factors import Factors, Part, Product, Sum, kept
from workbench.model.topology import Topology, Trained, trained_slice
from workbench.model.workspace import Parameters, Workspace

ROWS = (
    512  # of a weight's gradient made at a time, so that the update still finds them in the cache
)


class Layer(NamedTuple):
    """What the gradients of a layer are made of: deltaᵀ h of its weight, Σ_t delta_t of its bias."""

    p: Parameters
    space: Workspace
    number: int
    delta: torch.Tensor  # [frames, outputs, or the ``rows`` of them]
    h: torch.Tensor  # [frames, inputs]
    rows: torch.Tensor | None  # int64: the gradient of other outputs is zero; None: all

    def silenced(self, silence: np.ndarray | None) -> "Layer":
        """Nothing for the outputs ``silence``."""
        if silence is None:
            return self
        silent = torch.from_numpy(silence).to(self.delta.device)
        columns = silent if self.rows is None else torch.isin(self.rows, silent).nonzero()[:, 0]
        return self._replace(delta=self.delta.index_fill(1, columns, 0))


class Sink(Protocol):
    """Takes the gradients of one layer after the other."""

    def __call__(self, layer: Layer) -> None: ...


@dataclass(frozen=True)
class Store:
    """Writes the gradient into ``out``, a vector of the trained slice on the host."""

    out: torch.Tensor
    topology: Topology
    trained: Trained
    silence: np.ndarray | None

    def __call__(self, layer: Layer) -> None:
        rows = layer.rows
        views = layer_views(
            self.out, self.topology, layer.number, trained_slice(self.topology, self.trained).start
        )
        if rows is not None:
            views[0].zero_()
            views[1].zero_()
        for view, total in parts(layer, views, direct=layer.p.aliased and rows is None):
            if rows is not None:
                view.index_copy_(0, rows.to(view.device), total.to(view))
            elif total is not view:
                view.copy_(total)
        if self.silence is not None:
            for view in views:
                view.numpy()[self.silence] = 0


@dataclass(frozen=True)
class Move:
    """Adds float32(rate) times the gradient to ``theta``, the parameters themselves."""

    theta: torch.Tensor
    topology: Topology
    rate: float
    silence: np.ndarray | None

    def __call__(self, layer: Layer) -> None:
        layer = layer.silenced(self.silence)
        views, (p, _, _, delta, h, rows) = (
            layer_views(self.theta, self.topology, layer.number, 0),
            layer,
        )
        if p.kernel.move and p.aliased and rows is None:
            p.kernel.move(delta, h, views[0], self.rate, views[0])
            views[1].add_(delta.sum(0, dtype=p.accumulate).mul_(self.rate))
            return
        for view, total in parts(layer, views, direct=False):
            change = total.to("cpu", view.dtype).mul_(self.rate)
            if rows is None:
                view.add_(change)
            else:
                view.index_add_(0, rows.to(view.device), change)


@dataclass(frozen=True)
class Keep:
    """Keeps copies of what the layers' gradients are products of; ``factors`` are then whole."""

    topology: Topology
    trained: Trained
    silence: np.ndarray | None
    parts: list[Part] = field(default_factory=list)

    def factors(self, precision: str) -> Factors:
        """Of all layers so far."""
        return Factors(tuple(self.parts), precision)

    def __call__(self, layer: Layer) -> None:
        p, _, number, delta, h, rows = layer.silenced(self.silence)
        entries, name = self.topology.layout().entries, self.topology.names[number]
        start = trained_slice(self.topology, self.trained).start
        weight, bias = (entries[f"{name}.{part}"][0].start - start for part in ("weight", "bias"))
        which = None if rows is None else rows.cpu().numpy()
        sums = np.zeros(self.topology.widths[number + 1], np.float32)
        sums[slice(None) if which is None else which] = (
            delta.sum(0, dtype=p.accumulate).cpu().numpy()
        )
        turned = delta.stride(0) == 1 and len(delta) > 1
        factors = kept(delta.t() if turned else delta), kept(h)
        self.parts.append(Product(weight, len(sums), *factors, turned, which))
        self.parts.append(Sum(bias, sums))


def parts(
    layer: Layer, views: list[torch.Tensor], direct: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(part of the weight or bias, its gradient), one by one in the same buffer, or ``direct``ly in the part itself.

    The pieces are the same for everybody: BLAS promises the same bits only for the same product.
    """
    p, space, _, delta, h, rows = layer
    weight, bias = views
    yield bias, delta.sum(0, dtype=p.accumulate)
    columns = delta.shape[1]
    height = ROWS if rows is None and p.device.type == "cpu" else max(1, columns)
    for start in range(0, columns, height):
        piece = delta[:, start : start + height]
        view = weight if rows is not None else weight[start : start + height]
        total = view if direct else space.buffer("product", piece.shape[1], h.shape[1])
        p.kernel.gradient(piece, h, total)
        yield view, total


def layer_views(
    flat: torch.Tensor, topology: Topology, layer: int, base: int
) -> list[torch.Tensor]:
    """The weight and the bias of a layer within ``flat``, which begins at parameter ``base``."""
    entries = topology.layout().entries
    found = (entries[f"{topology.names[layer]}.{part}"] for part in ("weight", "bias"))
    return [flat[where.start - base : where.stop - base].view(shape) for where, shape in found]
