"""Gradients that stay on the device on which the parameters lie.

Nothing but windows' places, targets' values and three sums crosses the bus for a batch.
"""

from typing import NamedTuple

import numpy as np
import torch

from workbench.model.logit_gradient import SparseRows
from workbench.model.network import States, Windows, pass_cross_entropy, pass_outer
from workbench.model.sinks import Store
from workbench.model.topology import Trained, silence_rows, trained_slice
from workbench.model.torch_vector import TorchVector, largest_magnitude
from workbench.model.workspace import DeviceParameters


class DeviceCrossEntropy(NamedTuple):
    """The same as `CrossEntropy`, with the gradient on the device."""

    gradient: TorchVector
    value: float
    errors: int


def device_gradient(
    p: DeviceParameters,
    x: Windows,
    outer: np.ndarray | SparseRows,
    trained: Trained = "all",
    silence: States = (),
) -> TorchVector:
    """Return what `gradient` returns, on the device on which the parameters lie."""
    sink = _device_sink(p, trained, silence)
    pass_outer(p, x, outer, trained, sink)
    return TorchVector(sink.out)


def device_ce_gradient(
    p: DeviceParameters,
    x: Windows,
    targets: Windows,
    trained: Trained = "all",
    silence: States = (),
) -> DeviceCrossEntropy:
    """Return what `ce_gradient` returns, on the device on which the parameters lie.

    The host waits for the device once, for the sums and for whether the gradient is finite.
    """
    sink = _device_sink(p, trained, silence)
    sums = pass_cross_entropy(p, x, targets, trained, sink)
    largest = largest_magnitude(sink.out).to(sums.dtype)
    value, errors, top = torch.cat([sums, largest[None]]).tolist()
    return DeviceCrossEntropy(TorchVector(sink.out, top), value, int(errors))


def _device_sink(p: DeviceParameters, trained: Trained, silence: States) -> Store:
    where = trained_slice(p.topology, trained)
    out = torch.empty(where.stop - where.start, dtype=torch.float32, device=p.device)
    return Store(out, p.topology, trained, silence_rows(p.topology, trained, silence))
